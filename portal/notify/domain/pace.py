"""When a notification is sent, tried again and given up: policy of time, and nothing else."""

from datetime import datetime, timedelta

#: What needs nobody waits so long for company: one failover makes a dozen events.
GATHER = timedelta(seconds=30)
#: So many messages within a minute, and what needs a person is gathered as well.
BURST = 5
BURST_WINDOW = timedelta(minutes=1)
#: Events in one message; the rest goes in the next.
MOST = 200

#: Seconds that one delivery may take in all.
DEADLINE_S = 10.0
#: A claim counts as lost after this: well beyond the deadline and a slow name server.
LEASE = timedelta(seconds=60)

_PAUSES = (10, 30, 120, 600, 1800, 3600)
GIVE_UP = timedelta(hours=24)
#: A delivery that is older than that, because nobody could send, is still tried so often.
FEWEST_TRIES = 3
#: Failures in a row after which a person is told.
FAILING_AFTER = 3
#: A target that fails is left alone for at most this long before its next message.
LONGEST_REST = timedelta(minutes=1)
#: How long the log of deliveries is kept.
KEPT = timedelta(days=90)


def first_due(
    urgent: bool, *, sent_lately: int, gathering: datetime | None, now: datetime
) -> datetime:
    """Return when a new notification is sent; ``gathering`` is when those that wait will be."""
    if urgent and sent_lately < BURST:
        return now
    return gathering if gathering is not None and gathering > now else now + GATHER


def pause_after(tries: int) -> timedelta:
    """Return how long to wait after so many failed tries of one message."""
    return timedelta(seconds=_PAUSES[min(max(tries, 1), len(_PAUSES)) - 1])


def rest_after(failures: int) -> timedelta:
    """Return how long to leave a target alone after so many failures in a row."""
    return min(pause_after(failures), LONGEST_REST)


def is_given_up(tries: int, asked_at: datetime, now: datetime) -> bool:
    """Whether a message is not tried again by itself."""
    return tries >= FEWEST_TRIES and now + pause_after(tries) > asked_at + GIVE_UP
