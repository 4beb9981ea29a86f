"""Fire drills: asking for one, what came of each step, and keeping VMs away meanwhile.

The host stays in maintenance all the while: its silence is nobody's emergency, no run
and no HA state is touched.  Only BMC readings and the operation itself change.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from fencing.domain.alerts import AlertKind
from fencing.domain.drill import Back, DrillStep, Obstacle, came_back, obstacle, report
from fencing.domain.policy import Policy
from fencing.domain.power import PowerState
from fencing.models import FenceOperation
from fencing.selectors import cluster_facts, departure_is_open, drill_is_open
from fencing.services import incidents, power, trust
from fencing.services.fences import commanded_at
from fencing.services.inventory import NotAllowed
from hosts.domain.states import Wanted
from hosts.models import Cluster, Host, HostOperation
from hosts.services import inventory as plain
from hosts.services import looks, work
from portal.core.models import OPEN_STATES, OperationState
from portal.core.services import record_event

KIND = "drill"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a drill failed, and what a person must do; ``lied``: its BMC said what was not so."""

    code: str
    text: str
    cure: str
    lied: bool = False


def _obstacle(host: Host, now: datetime) -> Obstacle | None:
    facts = cluster_facts(host.cluster_id, now)
    seen = next(item for item in facts.hosts if item.pk == host.pk)
    if not host.boot_marker:
        text = f"{host.name} has no boot marker: nobody could tell whether it was off"
        cure = "Let the portal define a storage pool on it; that is where the marker is kept."
        return obstacle(facts, seen, facts.policies[host.pk], now) or Obstacle(text, cure)
    return obstacle(facts, seen, facts.policies[host.pk], now)


@transaction.atomic
def ask(host: Host, *, actor: str, now: datetime) -> FenceOperation:
    """Ask for a fire drill of a host; raises :class:`NotAllowed`, having changed nothing."""
    Cluster.objects.select_for_update(no_key=True).get(pk=host.cluster_id)  # no round meanwhile
    host = Host.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=host.pk)
    if drill_is_open(host.pk):
        text = f"a fire drill of {host.name} is under way already"
        raise NotAllowed(text, "Watch it under operations.")
    found = _obstacle(host, now)
    if found is not None:
        raise NotAllowed(found.text, found.cure)
    text = f"{actor} asks for a fire drill of {host.name}: its power is cut and comes back"
    _tell("drill.asked", text, host, now, actor=actor)
    return power.ask(KIND, host.pk, now=now, by=actor, marker=host.boot_marker)


@transaction.atomic
def want_host(host: Host, wanted: Wanted, *, actor: str, now: datetime) -> HostOperation:
    """Take down what a person wants of a host; refuses while its power is being switched."""
    Host.objects.select_for_update().get(pk=host.pk)
    if departure_is_open(host.pk):
        text = f"{host.name} is being shut down or rebooted"
        raise NotAllowed(text, "Cancel that operation while it still waits for its VMs.")
    if wanted is Wanted.ACTIVE and drill_is_open(host.pk):
        text = f"a fire drill is under way on {host.name}: its power is cut"
        raise NotAllowed(text, "Activate it when the drill has ended.")
    return plain.want_host(host, wanted, actor=actor, now=now)


def why_not(op: FenceOperation, now: datetime) -> str:
    """Return why the power must not be cut after all: asked right before the command.

    When it may have been sent already (``sent``), silence is what it brought about.
    """
    host = Host.objects.select_related("cluster").get(pk=op.host_id)
    mine = FenceOperation.objects.filter(pk=op.pk, version=op.version, state__in=OPEN_STATES)
    if not mine.exists():
        return "withdrawn before the command"
    found = _obstacle(host, now)
    if found is None or (op.data.get("sent") and found.silence):
        return ""
    return found.text


@transaction.atomic
def carry_on(
    op: FenceOperation, host: Host, step: DrillStep, text: str, *, pause_s: float, now: datetime
) -> bool:
    """Record a step's result and go on to ``step``, which may be the same one again."""
    data = op.data
    before = DrillStep(op.step or DrillStep.IDENTIFY)
    if step is not before:
        data = data | {"marks": [*data.get("marks", []), [before, now.isoformat()]]}
    if before is DrillStep.OFF and step is DrillStep.READ:
        data = data | {"commanded_at": now.isoformat()}
    if not work.wait(op, now, pause_s, text, step=step, data=data):
        return False
    if step is not before:
        _tell("drill.step", f"fire drill of {host.name}: {text}", host, now)
    return True


@transaction.atomic
def note_sent(op: FenceOperation) -> None:
    """From here on the power may be off: whatever happens, it is switched on again."""
    op.data = op.data | {"sent": True}
    FenceOperation.objects.filter(pk=op.pk, version=op.version).update(data=op.data)


@transaction.atomic
def spoiled(op: FenceOperation, host: Host, failure: Failure, *, now: datetime) -> None:
    """A step failed: switch the host on again if its power may be off, then end as failed."""
    if not op.data.get("sent") or op.step in (DrillStep.BOOT, DrillStep.LAST):
        _end(op, host, now, failure)
        return
    op.data = op.data | {"failure": asdict(failure)}
    carry_on(op, host, DrillStep.ON, failure.text, pause_s=0, now=now)


def lied(op: FenceOperation, host: Host, text: str, *, now: datetime) -> None:
    """The BMC said off while the host lived on: it is believed no longer, once all is on again."""
    cure = "Correct the address of its BMC and test it again: it proves nothing until then."
    spoiled(op, host, Failure("contradiction", text, cure, lied=True), now=now)


def _distrust(host: Host, text: str, now: datetime) -> None:
    level = min(host.controllers.values_list("level", flat=True), default=0)
    for pk in host.controllers.filter(level=level).values_list("pk", flat=True):
        trust.distrust(pk, text, now)
    incidents.raise_alert(AlertKind.CONTRADICTION, host.pk, 0, text, now)


def answered_since_off(op: FenceOperation, host: Host) -> bool:
    """Whether libvirt answered a look that was sent after the BMC had said off."""
    said = host.controllers.filter(state=PowerState.OFF, asked_at__gt=commanded_at(op))
    return host.last_seen is not None and said.filter(answered_at__lt=host.last_seen).exists()


def was_off(host: Host, policy: Policy) -> bool:
    """Whether the readings would prove the host off, were there a run to end."""
    return bool(power.proving(host, policy))


@transaction.atomic
def switched_on(op: FenceOperation, host: Host, policy: Policy, now: datetime) -> None:
    """The BMC accepted on: wait for the boot, or end what has failed before."""
    failure = _failure(op)
    if failure is not None:
        if _end(op, host, now, replace(failure, text=f"{failure.text}; it is switched on again")):
            power.forget_readings(host.pk)
        return
    until = now + timedelta(seconds=policy.boot_wait)
    op.data = op.data | {"on_at": now.isoformat(), "until": until.isoformat()}
    text = f"on accepted by the BMC; it has {policy.boot_wait:g} s to answer"
    if carry_on(op, host, DrillStep.BOOT, text, pause_s=policy.poll, now=now):
        # What was read of the time before says nothing about the time after.
        power.forget_readings(host.pk)
        looks.hasten(host.pk, now)


def _failure(op: FenceOperation) -> Failure | None:
    """Return what had failed before the host was to be switched on again, if anything had."""
    return Failure(**op.data["failure"]) if "failure" in op.data else None


def stays_off(op: FenceOperation, host: Host, text: str, now: datetime) -> None:
    """No controller takes *on*."""
    before = _failure(op)
    told = f"{before.text}; it stays off: {text}" if before else f"it stays off: {text}"
    cure = "Switch it on by hand, then test its BMC."
    _end(op, host, now, Failure("no_power", told, cure, lied=before is not None and before.lied))


@transaction.atomic
def look_for(op: FenceOperation, host: Host, policy: Policy, now: datetime) -> None:
    """Judge by the host's latest look whether it has come back."""
    back = came_back(
        last_seen=host.last_seen,
        marker=host.boot_marker,
        marker_before=str(op.data.get("marker", "")),
        switched_on_at=datetime.fromisoformat(op.data["on_at"]),
    )
    if back is Back.NEVER_OFF:
        lied(op, host, "it answers with the boot marker from before: it was never off", now=now)
    elif back is Back.YES:
        carry_on(op, host, DrillStep.LAST, "it answers, freshly booted", pause_s=0, now=now)
    elif is_late(op, now):
        text = f"no answer {policy.boot_wait:g} s after it was powered on"
        cure = "Look at its console, and at its connection."
        spoiled(op, host, Failure("no_boot", text, cure), now=now)
    else:
        looks.hasten(host.pk, now)
        work.wait(op, now, policy.poll, "no answer yet")


def is_late(op: FenceOperation, now: datetime) -> bool:
    """Whether the time for the boot is over."""
    return now >= datetime.fromisoformat(op.data["until"])


@transaction.atomic
def passed(op: FenceOperation, host: Host, now: datetime) -> None:
    """The host was off, came back, and its BMC says so."""
    op.data = op.data | {"marks": [*op.data["marks"], [DrillStep.LAST, now.isoformat()]]}
    _end(op, host, now, None)


@transaction.atomic
def called_off(op: FenceOperation, host: Host, text: str, now: datetime) -> None:
    """Something forbids cutting the power: nothing is sent, or what was cut comes back."""
    if op.data.get("sent"):
        cure = "Run the drill again when that is over."
        spoiled(op, host, Failure("interrupted", text, cure), now=now)
    elif work.finish(op, now, OperationState.CANCELLED, text, cure="Nothing was switched."):
        _tell("drill.cancelled", f"fire drill of {host.name} was called off: {text}", host, now)


@transaction.atomic
def _end(op: FenceOperation, host: Host, now: datetime, failure: Failure | None) -> bool:
    """Write the result down, once."""
    marks = [(step, datetime.fromisoformat(at)) for step, at in op.data.get("marks", [])]
    result = report(marks, op.requested_at, now, passed=failure is None)
    words = f"failed: {failure.text}" if failure else "passed"
    told = f"{words}, after {result['seconds']:.1f} s"
    changes: dict[str, Any] = {"state": OperationState.DONE}
    if failure is not None:
        changes = {
            "state": OperationState.FAILED,
            "error_code": failure.code,
            "error_text": failure.text,
            "error_cure": failure.cure,
        }
    if not work.record(op, now, step_text=told, data=op.data | {"result": result}, **changes):
        return False
    if failure is not None and failure.lied:
        _distrust(host, failure.text, now)
    kind = "drill.failed" if failure else "drill.passed"
    actor = op.requested_by
    _tell(kind, f"fire drill of {host.name} {told}", host, now, actor=actor, evidence=result)
    return True


def _tell(kind: str, text: str, host: Host, now: datetime, **more: Any) -> None:
    record_event(kind, text, now=now, host=host.pk, cluster=host.cluster_id, **more)
