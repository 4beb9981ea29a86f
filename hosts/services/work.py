"""Claiming and recording work: compare-and-set on a row's version.

A claim is a short right to do one hardware step.  It is lost by time: while a
row is ``acting``, ``due_at`` says when others may take it over.  A result is
written only over the version that its claim made, so whoever was killed,
frozen or doubled in between changes nothing when it comes back.
"""

from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Exists, F

from hosts.models import Engine
from hosts.services.engines import Tag, may_claim
from portal.core.models import OPEN_STATES, Operation, OperationState
from portal.lib.live import announce_on_commit

Work = TypeVar("Work", bound=Operation)

#: How long a claim may outlive the deadline of its hardware call.
SLACK = timedelta(seconds=2)


def claim(model: type[Work], pk: int, *, tag: Tag, now: datetime, lease_s: float) -> Work | None:
    """Return the operation, claimed for one step of at most ``lease_s`` seconds, or None.

    None means: not due, ended, or somebody else has it; there is nothing to do.
    ``was_acting`` is set on the result when an earlier claim was lost half way.
    """
    row = model._default_manager.filter(pk=pk, state__in=OPEN_STATES, due_at__lte=now).first()
    if row is None:
        return None
    current = may_claim(tag, now)
    won = (
        model._default_manager.filter(pk=pk, version=row.version, state=row.state)
        .filter(Exists(current))
        .update(
            state=OperationState.ACTING,
            version=F("version") + 1,
            owner=tag.name,
            epoch=tag.epoch,
            due_at=now + timedelta(seconds=lease_s) + SLACK,
        )
    )
    if not won:
        return None
    was_acting, version = row.state == OperationState.ACTING, row.version + 1
    row.refresh_from_db()
    if row.version != version:
        return None  # frozen here until the claim ran out: it is somebody else's by now
    row.was_acting = was_acting  # type: ignore[attr-defined]  # a fact of this claim, not a column
    return row


def is_mine(op: Operation, now: datetime) -> bool:
    """Whether this claim still stands: asked just before what cannot be taken back.

    False once the claim has run out, even if nobody has taken it over yet, or its
    engine has begun a new epoch: whoever comes next assumes that nothing is sent any more.
    """
    current = Engine.objects.filter(name=op.owner, epoch=op.epoch)
    mine = type(op)._default_manager.filter(pk=op.pk, version=op.version, due_at__gt=now)
    return bool(mine.filter(Exists(current), state=OperationState.ACTING).exists())


def time_left(op: Operation, now: datetime, deadline_s: float) -> float:
    """Return ``deadline_s``, cut to the seconds for which the claim still stands."""
    return max(0.0, min(deadline_s, (op.due_at - now).total_seconds()))


def record(op: Operation, now: datetime, *, step_text: str = "", **changes: Any) -> bool:
    """Write what a claimed step brought; False (nothing written) when the claim was lost.

    ``step_text`` is appended to the steps that the operation's page shows, unless
    it only says again what the last one said: a wait may last for days.
    """
    if step_text and not (op.steps and op.steps[-1]["text"] == step_text):
        changes["steps"] = [*op.steps, {"at": now.isoformat(), "text": step_text}]
    if changes.get("state") not in (None, *OPEN_STATES):
        changes["ended_at"] = now
    manager = type(op)._default_manager
    mine = manager.filter(pk=op.pk, version=op.version, state=OperationState.ACTING)
    won = mine.update(version=F("version") + 1, **changes)
    if won:
        op.refresh_from_db()
        announce_on_commit("operation", op.pk, op.kind)
    return bool(won)


def finish(
    op: Operation,
    now: datetime,
    state: OperationState,
    text: str,
    *,
    code: str = "",
    cure: str = "",
) -> bool:
    """End a claimed operation with a plain sentence."""
    changes: dict[str, Any] = {"state": state}
    if state is not OperationState.DONE:
        changes |= {"error_code": code or str(state), "error_text": text, "error_cure": cure}
    return record(op, now, step_text=text, **changes)


def wait(op: Operation, now: datetime, seconds: float, text: str, **changes: Any) -> bool:
    """Put a claimed operation back until ``seconds`` from now."""
    due = now + timedelta(seconds=seconds)
    return record(op, now, step_text=text, state=OperationState.WAITING, due_at=due, **changes)


def release_claims(model: type[Work], tag: Tag, now: datetime) -> int:
    """Make the claims of this engine's dead worker due at once; return how many.

    Called by a worker as it starts: its predecessor is dead by then, so nobody
    acts on them any more.  Steps are made to be repeated.
    """
    return int(
        model._default_manager.filter(state=OperationState.ACTING, owner=tag.name)
        .filter(epoch__lte=tag.epoch)
        .update(due_at=now, version=F("version") + 1)
    )


@transaction.atomic
def cancel_unclaimed(op: Operation, now: datetime, text: str) -> bool:
    """Withdraw an operation that nobody is acting on; False when it is too late."""
    return bool(
        type(op)
        ._default_manager.filter(pk=op.pk, version=op.version)
        .exclude(state=OperationState.ACTING)
        .filter(state__in=OPEN_STATES)
        .update(
            state=OperationState.CANCELLED,
            version=F("version") + 1,
            ended_at=now,
            error_code="cancelled",
            error_text=text,
        )
    )
