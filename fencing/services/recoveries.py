"""Soft recovery in rows: asking for it, and what each try brought."""

from datetime import datetime

from django.db import transaction

from fencing.domain.recovery import AGAIN_S, ANSWERED, CURE, RecoveryOutcome, is_last
from fencing.models import FenceOperation
from fencing.selectors import policy_of
from fencing.services.power import ROUND
from fencing.services.power import ask as ask_power
from hosts.domain.states import HostStatus
from hosts.models import Host
from hosts.services import signs, work
from portal.core.models import OPEN_STATES, OperationState
from portal.core.services import record_event
from portal.lib.queue import wake_on_commit


@transaction.atomic
def ask(host_id: int, *, why: str, rule: str, now: datetime) -> None:
    """Ask for a restart of the host's libvirtd over SSH; the plan asks once in each silence."""
    op = ask_power("recover", host_id, now=now, why=why, rule=rule)
    record_event(
        "recovery.asked",
        f"libvirtd on {op.host.name} is restarted over SSH: {why}",
        now=now,
        host=host_id,
        cluster=op.host.cluster_id,
        rule=rule,
        incident=op.incident_id or 0,
    )


def not_wanted(host: Host) -> str:
    """Return why no further try is made, or the empty text: asked right before each one."""
    if host.status != HostStatus.NON_RESPONSIVE:
        return f"the host is {host.status.replace('_', ' ')}: no restart of libvirtd is needed"
    if policy_of(host).soft_recovery != "on":
        return "soft_recovery is off by now"
    fences = FenceOperation.objects.filter(host=host, kind="fence", state__in=OPEN_STATES)
    return "the host is being fenced" if fences.exists() else ""


@transaction.atomic
def tried(
    op: FenceOperation,
    host: Host,
    outcome: RecoveryOutcome,
    text: str,
    *,
    asked_at: datetime,
    now: datetime,
) -> None:
    """Record how a try ended; what the host itself answered is a sign of life, never a proof."""
    tries = op.attempt + 1
    told = f"try {tries}: {outcome.replace('_', ' ')}: {text}"
    changes = {"attempt": tries, "data": op.data | {"outcome": str(outcome)}}
    if not is_last(outcome, tries):
        won = work.wait(op, now, AGAIN_S, told, **changes)
    elif outcome is RecoveryOutcome.RESTARTED:
        won = work.record(op, now, step_text=told, state=OperationState.DONE, **changes)
    else:
        error = {"error_code": outcome, "error_text": text, "error_cure": CURE[outcome]}
        failed = OperationState.FAILED
        won = work.record(op, now, step_text=told, state=failed, **error, **changes)
    if not won:
        return
    if outcome in ANSWERED:
        signs.note_kernel(host.pk, asked_at)
    record_event(
        "recovery.tried",
        f"restarting libvirtd on {host.name}, {told}",
        now=now,
        host=host.pk,
        cluster=host.cluster_id,
        incident=op.incident_id or 0,
        rule=str(op.data.get("rule", "")),
        evidence={"state": str(outcome), "cure": CURE[outcome]},
    )
    wake_on_commit(ROUND, host.cluster_id)
