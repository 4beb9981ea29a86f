"""Words of soft recovery: how a restart of libvirtd over SSH can end, and what is kept of it.

None of these is a proof of anything: a daemon that is restarted lets its VMs run on, and a
host that cannot be reached over SSH may be alive.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class RecoveryOutcome(StrEnum):
    """How one try ended."""

    RESTARTED = "restarted"
    REFUSED_AUTH = "refused_auth"  # only a person can help
    UNKNOWN_HOST_KEY = "unknown_host_key"  # only a person can help
    UNREACHABLE = "unreachable"
    FAILED = "failed"  # the host was reached, and could not do it
    TIMED_OUT = "timed_out"


CURE: dict[RecoveryOutcome, str] = {
    RecoveryOutcome.RESTARTED: "Look at libvirtd's own log on the host: it runs and is silent.",
    RecoveryOutcome.REFUSED_AUTH: (
        "Let the key of the portal's user in on that host (docs/soft-recovery.md), or repair its "
        "libvirtd by hand."
    ),
    RecoveryOutcome.UNKNOWN_HOST_KEY: (
        "Compare the host's key, then enter it in known_hosts of the portal's user "
        "(docs/soft-recovery.md); if it has changed for no known reason, find out why first."
    ),
    RecoveryOutcome.UNREACHABLE: "Check that sshd runs on the host, its address and its network.",
    RecoveryOutcome.FAILED: "Log in to the host and restart its libvirtd by hand.",
    RecoveryOutcome.TIMED_OUT: "Log in to the host: something there hangs that SSH waits for.",
}
#: Another try would end the same way, until a person has done something.
FATAL = frozenset({RecoveryOutcome.REFUSED_AUTH, RecoveryOutcome.UNKNOWN_HOST_KEY})
#: The host itself answered, known by its key: its kernel lives.
ANSWERED = frozenset(
    {RecoveryOutcome.RESTARTED, RecoveryOutcome.REFUSED_AUTH, RecoveryOutcome.FAILED}
)

#: Seconds for one try, connecting included; a fence waits for no more than one.
DEADLINE_S = 12.0
#: Tries for each silence, and the seconds between two.
TRIES = 3
AGAIN_S = 10.0
#: A libvirtd that was just restarted has so long to answer.
SETTLE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Recovery:
    """The recovery of a silent host: when it was asked for, and how far it has come."""

    asked_at: datetime
    tries: int = 0  # that have ended
    open: bool = True
    outcome: RecoveryOutcome | None = None  # of the last try
    ended_at: datetime | None = None


def of_this_silence(
    recovery: Recovery | None, last_seen: datetime | None, *, is_open: bool
) -> Recovery | None:
    """Return what is known of a recovery, unless it was of an earlier silence and is over."""
    if recovery is None or not (is_open or last_seen is None or recovery.asked_at > last_seen):
        return None
    return replace(recovery, open=is_open)


def is_in_hand(recovery: Recovery | None, now: datetime) -> bool:
    """Whether the first try is under way within its time, or a restarted libvirtd comes up."""
    if recovery is None:
        return False
    if recovery.open and not recovery.tries:
        return now - recovery.asked_at < timedelta(seconds=DEADLINE_S)
    restarted = recovery.outcome is RecoveryOutcome.RESTARTED and recovery.ended_at is not None
    return restarted and now - (recovery.ended_at or now) < SETTLE


def is_last(outcome: RecoveryOutcome, tries: int) -> bool:
    """Whether no further try follows in this silence."""
    return outcome is RecoveryOutcome.RESTARTED or outcome in FATAL or tries >= TRIES
