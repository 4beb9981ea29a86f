"""Claiming a message, and recording what came of it: one transaction each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from portal.core.models import OPEN_STATES, Delivery, NotificationTarget, OperationState
from portal.lib import ids
from portal.lib.live import announce_on_commit
from portal.notify.domain import pace
from portal.notify.services import failing


@dataclass(frozen=True, slots=True)
class Message:
    """What one claim sends: some events to one target, always under the same id."""

    id: str
    version: int
    target: int
    kind: str
    address: str
    events: tuple[int, ...]
    tries: int
    asked_at: datetime

    @property
    def is_test(self) -> bool:
        """Whether it only shows that the target can be reached."""
        return not self.events


class Undelivered(Exception):
    """The target did not take a message: why, and what to do; never the address itself."""

    def __init__(self, text: str, cure: str, status: int | None = None) -> None:
        super().__init__(text)
        self.text, self.cure, self.status = text, cure, status


@transaction.atomic
def claim(target_id: int, now: datetime) -> Message | None:
    """Return the target's next message, claimed for one try, or None: nothing to do now.

    A target gets one message at a time, so that one that hangs holds one thread; only a
    test does not wait.  All claims of a target take turns at its row.
    """
    target = failing.take_turn(target_id)
    if target is None:
        return None
    name = _next_message(target, now)
    if not name:
        return None
    mine = Delivery.objects.filter(target=target, message=name).order_by("pk")
    tries = F("attempts") + 1
    mine.update(
        state=OperationState.ACTING,
        version=F("version") + 1,
        attempts=tries,
        tried_at=now,
        due_at=now + pace.LEASE,
    )
    claimed = list(mine)
    first = claimed[0]
    events = tuple(row.event for row in claimed if row.event)
    return Message(
        id=name,
        version=first.version,
        target=target.pk,
        kind=target.kind,
        address=target.address,
        events=events,
        tries=first.attempts,
        asked_at=min(row.at for row in claimed),
    )


def _next_message(target: NotificationTarget, now: datetime) -> str:
    """Return the id of the message whose turn it is, formed now if need be; "": none."""
    mine = Delivery.objects.filter(target=target, state__in=OPEN_STATES)
    due = mine.filter(due_at__lte=now).order_by("due_at", "pk")
    test = due.filter(event=0).first()
    if test is not None:
        return test.message
    resting = target.resting_until is not None and target.resting_until > now
    busy = mine.filter(state=OperationState.ACTING, due_at__gt=now).exclude(event=0)
    if resting or not target.enabled or busy.exists():
        return ""
    fresh = due.filter(message="")
    if fresh.exists():
        return _form(mine.filter(message=""), all_of_them=fresh.filter(urgent=False).exists())
    again = due.exclude(message="").first()
    return again.message if again else ""


def _form(waiting: QuerySet[Delivery], *, all_of_them: bool) -> str:
    """Put what waits into one message: only what needs a person, until the rest is due."""
    chosen = waiting if all_of_them else waiting.filter(urgent=True)
    pks = list(chosen.order_by("event").values_list("pk", flat=True)[: pace.MOST])
    name = ids.source().uuid()
    Delivery.objects.filter(pk__in=pks).update(message=name)
    return name


@transaction.atomic
def delivered(message: Message, status: int | None, now: datetime) -> bool:
    """Record that the target took the message; False (nothing written): the claim was lost."""
    failing.take_turn(message.target)
    done = {"state": OperationState.DONE, "ended_at": now, "error_text": "", "error_cure": ""}
    if not _record(message, http_status=status, **done):
        return False
    failing.target_took_it(message.target, now)
    return True


@transaction.atomic
def undelivered(message: Message, fault: Undelivered, now: datetime) -> bool:
    """Record a failed try: once more later, or no more; False: the claim was lost."""
    failing.take_turn(message.target)
    told = {"http_status": fault.status, "error_text": fault.text, "error_cure": fault.cure}
    over = message.is_test or pace.is_given_up(message.tries, message.asked_at, now)
    if over:
        changes: dict[str, Any] = {"state": OperationState.FAILED, "ended_at": now}
    else:
        due = now + pace.pause_after(message.tries)
        changes = {"state": OperationState.WAITING, "due_at": due}
    if not _record(message, **told, **changes):
        return False
    if not message.is_test:
        failing.target_failed(message.target, fault.text, fault.cure, now, for_good=over)
    return True


def _record(message: Message, **changes: Any) -> bool:
    """Write over the version that the claim made, and nothing else."""
    mine = Delivery.objects.filter(
        target=message.target,
        message=message.id,
        version=message.version,
        state=OperationState.ACTING,
    )
    won = mine.update(version=F("version") + 1, **changes)
    if won:
        rows = Delivery.objects.filter(target=message.target, message=message.id)
        pks = list(rows.values_list("pk", flat=True)[:2])
        # Number 0: several changed, look at the list again.
        announce_on_commit("delivery", pks[0] if len(pks) == 1 else 0, str(changes["state"]))
    return bool(won)


def is_waiting(target_id: int, now: datetime) -> bool:
    """Whether the target has another message that is due."""
    due = Q(state__in=OPEN_STATES, due_at__lte=now)
    return Delivery.objects.filter(due, target=target_id).exists()
