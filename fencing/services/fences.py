"""What came of each step of a fence: the operation, the proof and the retry."""

from datetime import datetime

from django.db import transaction

from fencing.domain.alerts import AlertKind
from fencing.domain.guards import LAST_MOMENT, withheld
from fencing.domain.policy import Policy
from fencing.domain.power import FenceOutcome
from fencing.domain.steps import FenceStep, Next, retry_pause
from fencing.models import FenceOperation
from fencing.selectors import cluster_facts
from fencing.services import incidents, power
from hosts.domain.states import HostStatus
from hosts.models import Host
from hosts.services import work
from portal.core.models import OPEN_STATES, OperationState
from portal.core.services import record_event

#: Statuses in which automation may cut a host's power.
_FENCEABLE = (HostStatus.NON_RESPONSIVE, HostStatus.KDUMPING)


@transaction.atomic
def carry_on(
    op: FenceOperation,
    host: Host,
    following: Next,
    policy: Policy,
    *,
    more_levels: bool,
    now: datetime,
) -> None:
    """Record a step's result: the next step, the next level, the proof, or a failed attempt."""
    if following.failed is FenceOutcome.CANCELLED:
        work.finish(op, now, OperationState.CANCELLED, following.text)
    elif following.failed is not None and more_levels:
        data = op.data | {"level": int(op.data.get("level", 0)) + 1}
        work.wait(op, now, 0, f"{following.text}; next level", step="", data=data)
    elif following.failed is not None:
        attempt_failed(op, host, following, policy, now=now)
    elif following.proven:
        _proven(op, host, following, policy, now)
    else:
        _next_step(op, host, following, now)


def _next_step(op: FenceOperation, host: Host, following: Next, now: datetime) -> None:
    data = op.data
    attempt = op.attempt
    if following.step is FenceStep.OFF:
        # From here on the command may be on its way: the fence cannot be taken back.
        attempt += 1
        data = data | {"commanded": True}
    if op.step in ("", FenceStep.IDENTIFY, FenceStep.OFF) and following.step is FenceStep.READ:
        data = data | {"commanded_at": now.isoformat()}
    if not work.wait(
        op, now, following.pause_s, following.text, step=following.step, data=data, attempt=attempt
    ):
        return
    record_event(
        "fence.step",
        f"fencing {host.name}: {following.text}",
        now=now,
        host=host.pk,
        cluster=host.cluster_id,
        incident=op.incident_id or 0,
        rule=str(op.data.get("rule", "")),
    )


def _proven(op: FenceOperation, host: Host, following: Next, policy: Policy, now: datetime) -> None:
    rule = str(op.data.get("rule", "")) or "fence"
    why = f"fenced: {following.text}"
    vms = power.use_power_proof(host.pk, policy, rule=rule, why=why, now=now)
    if not vms and not power.is_down(host.pk):
        _not_accepted(op, host, policy, now)
    elif work.record(
        op,
        now,
        step_text=following.text,
        state=OperationState.DONE,
        outcome=FenceOutcome.CONFIRMED_OFF,
    ):
        incidents.clear_alert(AlertKind.FENCE_FAILED, host.pk, 0, now)


def _not_accepted(op: FenceOperation, host: Host, policy: Policy, now: datetime) -> None:
    """The readings are no proof: the fence stays open, else nobody would try again."""
    answered = Host.objects.filter(pk=host.pk, last_seen__gt=commanded_at(op)).exists()
    if answered:
        text = "read back off, but libvirt answered since: no proof"
        incidents.raise_alert(AlertKind.CONTRADICTION, host.pk, 0, text, now)
        outcome = FenceOutcome.CONTRADICTION
    else:
        text = "read back off, but the host's controllers do not agree, or one is distrusted"
        outcome = FenceOutcome.TIMED_OUT
    attempt_failed(op, host, Next(FenceStep.IDENTIFY, 0, text, failed=outcome), policy, now=now)


@transaction.atomic
def attempt_failed(
    op: FenceOperation, host: Host, following: Next, policy: Policy, *, now: datetime
) -> None:
    """Record a failed attempt; the fence goes on trying, ever more slowly, beside a person."""
    outcome = following.failed or FenceOutcome.UNREACHABLE
    attempt = op.attempt + 1
    pause = retry_pause(attempt, outcome, policy)
    data = {key: value for key, value in op.data.items() if key not in ("level", "commanded_at")}
    text = f"attempt {attempt}: {outcome}: {following.text}; next in {pause:.0f} s"
    if not work.wait(op, now, pause, text, step="", data=data, attempt=attempt, outcome=outcome):
        return
    record_event(
        "fence.failed",
        f"fencing {host.name}: {text}",
        now=now,
        host=host.pk,
        cluster=host.cluster_id,
        incident=op.incident_id or 0,
    )
    incidents.raise_alert(AlertKind.FENCE_FAILED, host.pk, 0, following.text, now)
    text = f"fencing {host.name} failed ({outcome}); it may still be running its VMs"
    incidents.raise_alert(AlertKind.CONFIRM_REBOOT, host.pk, 0, text, now)


def held_back(op: FenceOperation, now: datetime) -> str:
    """Return why automation's power command must not be sent after all, or the empty text.

    Asked right before the command: retries and lost wake-ups may have put minutes
    between it and the plan that wished for it.
    """
    if op.requested_by != "portal":
        return ""
    facts = cluster_facts(op.host.cluster_id, now)
    host = facts.host(op.host_id)
    if host is None:
        return ""
    return withheld(facts, host, facts.policies[host.pk], now, guards=LAST_MOMENT)


def commanded_at(op: FenceOperation) -> datetime:
    """When the off command was accepted (or the fence asked for, where it was off already)."""
    given = op.data.get("commanded_at")
    return datetime.fromisoformat(given) if given else op.requested_at


def still_wanted(op: FenceOperation, now: datetime) -> bool:
    """Whether this claim of the fence still stands: asked right before the command.

    Automation's fence also ends when the host answers again, or a guard now says
    no; a person's does not.  The plan asks for it again where that is still right.
    """
    mine = FenceOperation.objects.filter(pk=op.pk, version=op.version, state__in=OPEN_STATES)
    if op.requested_by == "portal":
        mine = mine.filter(host__status__in=_FENCEABLE)
    return mine.exists() and not held_back(op, now)
