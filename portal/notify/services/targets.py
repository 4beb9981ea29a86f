"""Targets as administrators enter, edit, test and remove them, and deliveries sent again."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from portal.core import edits
from portal.core.models import OPEN_STATES, Delivery, NotificationTarget, OperationState
from portal.core.services import record_event
from portal.lib import ids
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit
from portal.notify.services.failing import refresh_alert, take_turn

DELIVER = "notify.deliver"
LIVE_KIND = "notification-target"


class NotAgain(Exception):
    """A delivery that is not sent again: the text says why."""


def _note(kind: str, row: NotificationTarget, words: str, actor: str, now: datetime) -> int:
    """Write down what a person did, never an address, which may hold a token; return the event."""
    text, about = f"notification target {row.name} {words}", {"target": row.pk}
    return record_event(f"notification.{kind}", text, now=now, actor=actor, evidence=about).pk


@transaction.atomic
def add(fields: dict[str, Any], *, actor: str, now: datetime) -> NotificationTarget:
    """Enter a target; it is told of what happens from now on."""
    row = NotificationTarget.objects.create(**fields)
    row.seen_event = _note("target_added", row, f"was added: {row.what} by {row.kind}", actor, now)
    row.save(update_fields=["seen_event"])
    announce_on_commit(LIVE_KIND, row.pk, "added")
    return row


@transaction.atomic
def edit(row: NotificationTarget, changes: dict[str, Any], *, actor: str, now: datetime) -> None:
    """Change a target as it was read; raises ``portal.core.edits.Stale``.

    One that is switched off forgets what waits for it; switched on again, it is told of
    what happens from then on.
    """
    was_enabled = row.enabled
    edits.edit(row, LIVE_KIND, changes)
    rows = NotificationTarget.objects.filter(pk=row.pk)
    if was_enabled and not row.enabled:
        waiting = row.deliveries.filter(state__in=OPEN_STATES).exclude(event=0)
        _end(waiting, now, "the target was switched off")
    rows.update(failures=0, resting_until=None, error_text="", error_cure="")
    row.deliveries.filter(state=OperationState.WAITING).update(due_at=now)
    names = ", ".join(sorted(changes)) or "nothing"
    event = _note("target_edited", row, f"was changed: {names}", actor, now)
    if row.enabled and not was_enabled:
        rows.update(seen_event=event)
    refresh_alert(now)
    wake_on_commit(DELIVER, row.pk)


def _end(waiting: Any, now: datetime, why: str) -> None:
    waiting.update(
        state=OperationState.CANCELLED, version=F("version") + 1, ended_at=now, error_text=why
    )


@transaction.atomic
def remove(row: NotificationTarget, *, actor: str, now: datetime) -> None:
    """Remove a target with its log of deliveries; the events stay."""
    pk = row.pk
    take_turn(pk)
    _note("target_removed", row, "was removed", actor, now)
    row.delete()
    refresh_alert(now)
    announce_on_commit(LIVE_KIND, pk, "removed")


@transaction.atomic
def ask_test(row: NotificationTarget, *, actor: str, now: datetime) -> Delivery:
    """Have one message without an event sent at once, even to a target that is switched off."""
    test = Delivery.objects.create(
        target=row, message=ids.source().uuid(), urgent=True, at=now, due_at=now
    )
    _note("target_tested", row, "is tested", actor, now)
    announce_on_commit("delivery", test.pk, "entered")
    wake_on_commit(DELIVER, row.pk)
    return test


@transaction.atomic
def send_again(row: Delivery, *, actor: str, now: datetime) -> None:
    """Send a delivery again, with the whole message that it was part of, under the same id.

    Raises :class:`NotAgain`, having changed nothing.
    """
    take_turn(row.target_id)
    if row.state not in (OperationState.FAILED, *OPEN_STATES):
        raise NotAgain(f"it is {row.state}")
    if not row.target.enabled and row.event:
        raise NotAgain(f"{row.target.name} is switched off")
    if row.state in (OperationState.FAILED, OperationState.WAITING):
        whole = Delivery.objects.filter(target=row.target_id, message=row.message)
        whole.filter(state=row.state, version=row.version).update(
            state=OperationState.REQUESTED, version=F("version") + 1,
            attempts=0, at=now, due_at=now, ended_at=None,
        )  # fmt: skip
        NotificationTarget.objects.filter(pk=row.target_id).update(resting_until=None)
        _note("sent_again", row.target, "is sent a message again", actor, now)
        announce_on_commit("delivery", 0, "entered")
    wake_on_commit(DELIVER, row.target_id)
