"""What BMCs said, and which runs that ends; asking for work on a host's power."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from fencing.domain.evidence import identity_of
from fencing.domain.facts import Identity
from fencing.domain.policy import Policy
from fencing.domain.power import PowerProblem, PowerState
from fencing.models import FenceOperation, Incident, PowerController
from fencing.services.ha import move_ha
from fencing.services.incidents import open_incident
from hosts.domain.states import HostStatus
from hosts.models import Host
from hosts.services import engines, looks, work
from portal.core.models import OPEN_STATES, OperationState
from portal.core.services import record_event
from portal.lib.ha.states import HaEvent
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit
from vms.domain import proofs
from vms.domain.states import EndReason, ProofKind
from vms.models import Run, Vm
from vms.services import runs
from vms.services.runs import Evidence

ADVANCE = "fencing.advance"
#: SSH is slow to fail: its operations wait where no fence waits behind them.
RECOVER = "fencing.recover"
ROUND = "fencing.round"
#: Problems that may as well be those of the engine that asked.
_SILENCE = (PowerProblem.UNREACHABLE, PowerProblem.TIMED_OUT)


def task_of(kind: str) -> str:
    """Return the task that carries operations of this kind on."""
    return RECOVER if kind == "recover" else ADVANCE


def ask(
    kind: str, host_id: int, *, now: datetime, by: str = "portal", **data: Any
) -> FenceOperation:
    """Return the host's open operation of this kind, made if there is none."""
    incident = Incident.objects.filter(host_id=host_id, closed_at__isnull=True).first()
    try:
        with transaction.atomic():
            op = FenceOperation.objects.create(
                kind=kind,
                host_id=host_id,
                incident=incident,
                requested_by=by,
                requested_at=now,
                due_at=now,
                data=data,
            )
    except IntegrityError:
        return FenceOperation.objects.get(kind=kind, host_id=host_id, state__in=OPEN_STATES)
    announce_on_commit("operation", op.pk, kind)
    wake_on_commit(task_of(kind), op.pk)
    return op


def _still_waiting(asked: PowerController, asked_at: datetime) -> PowerController | None:
    """Return the controller, locked and without its secret, unless the answer comes too late.

    Two answers are written one by one; one to an older question, or of an address that
    is no longer its own, is no answer.
    """
    rows = PowerController.objects.defer("password").select_related("host")
    row = rows.select_for_update(of=("self",)).filter(pk=asked.pk, version=asked.version).first()
    if row is None or (row.asked_at is not None and row.asked_at >= asked_at):
        return None
    return row


@transaction.atomic
def record_reading(
    asked: PowerController,
    *,
    state: PowerState,
    guid: str | None,
    asked_at: datetime,
    now: datetime,
) -> None:
    """Write down an answer; a series of *off* is unbroken by silence, broken by anything else.

    ``asked``: the controller as it was when it was asked.
    """
    row = _still_waiting(asked, asked_at)
    if row is None:
        return
    off = state is PowerState.OFF
    went_on = (
        off
        and row.first_off_at is not None
        # Whoever has spoken since was on in between: a new series begins.
        and proofs.is_silent_since(row.host.last_seen, row.first_off_at)
    )
    PowerController.objects.filter(pk=row.pk).update(
        state=state,
        identity=identity_of(guid, row.host.host_uuid),
        problem="",
        problem_text="",
        asked_at=asked_at,
        answered_at=now,
        first_off_at=row.first_off_at if went_on else (asked_at if off else None),
        off_reads=row.off_reads + 1 if went_on else int(off),
    )
    if row.problem:
        _hurry_fence(row.host_id, now)
    if state != row.state or row.problem:
        evidence = {"state": state, "guid": guid, "asked_at": asked_at.isoformat()}
        _tell(row, "bmc.reading", f"BMC of {row.host.name} says {state}", evidence, now)


def _tell(
    row: PowerController, kind: str, text: str, evidence: dict[str, Any], now: datetime
) -> None:
    host = row.host
    record_event(kind, text, now=now, host=host.pk, cluster=host.cluster_id, evidence=evidence)
    announce_on_commit("host", host.pk, "power")


def _hurry_fence(host_id: int, now: datetime) -> None:
    """The BMC can be used again: a fence that waits for its next try need not wait on."""
    waiting = FenceOperation.objects.filter(
        host_id=host_id, kind="fence", state=OperationState.WAITING, due_at__gt=now
    )
    for pk in waiting.values_list("pk", flat=True):
        waiting.filter(pk=pk).update(due_at=now, version=F("version") + 1)
        wake_on_commit(ADVANCE, pk)


@transaction.atomic
def record_problem(
    asked: PowerController, problem: PowerProblem, text: str, *, asked_at: datetime, now: datetime
) -> None:
    """Write down that no usable answer came; what was read before stays, and ages."""
    row = _still_waiting(asked, asked_at)
    if row is None or (problem in _SILENCE and engines.is_doubted(now)):
        return  # who gets no answers where others do says nothing of a silent BMC
    PowerController.objects.filter(pk=row.pk).update(
        problem=problem, problem_text=text, asked_at=asked_at, answered_at=now
    )
    if problem != row.problem:
        evidence = {"problem": problem, "asked_at": asked_at.isoformat()}
        _tell(row, "bmc.problem", f"BMC of {row.host.name}: {text}", evidence, now)


def forget_readings(host_id: int) -> None:
    """What was read about the time before a power-on says nothing about the time after."""
    PowerController.objects.filter(host_id=host_id).update(
        state=PowerState.UNKNOWN, first_off_at=None, off_reads=0
    )


@transaction.atomic
def use_power_proof(
    host_id: int, policy: Policy, *, rule: str, why: str, now: datetime
) -> list[int]:
    """End every run that the controllers' *off* readings can end; return their VMs.

    The rules are asked once more on fresh rows, under this transaction: what
    the plan saw may have changed since.
    """
    host = Host.objects.select_for_update().get(pk=host_id)
    readings = proving(host, policy)
    if not readings:
        return []
    first = min(item.first_off_at for item in readings if item.first_off_at is not None)
    return off_is_proven(
        host,
        Evidence(
            kind=ProofKind.POWER_OFF,
            at=first,
            text=f"{host.name}: {why}",
            reason=EndReason.HOST_LOST,
            details={"rule": rule, "controllers": [_as_evidence(item) for item in readings]},
        ),
        rule=rule,
        now=now,
    )


def proving(host: Host, policy: Policy) -> list[PowerController]:
    """The first level that answers whole, when all of it has said *off* often enough."""
    rows = list(PowerController.objects.defer("password").filter(host=host).order_by("pk"))
    for level in sorted({row.level for row in rows}):
        members = [row for row in rows if row.level == level]
        if all(_answers_for_itself(row) for row in members):
            return members if all(_was_off(row, host, policy) for row in members) else []
    return []


def _answers_for_itself(row: PowerController) -> bool:
    return row.trusted and not row.problem and row.identity == Identity.PROVEN


def _was_off(row: PowerController, host: Host, policy: Policy) -> bool:
    return (
        row.state == PowerState.OFF
        and row.first_off_at is not None
        and proofs.enough_off_reads(row.off_reads, policy.off_reads)
        and proofs.off_reads_are_apart(
            row.first_off_at, row.asked_at, policy.off_reads, policy.off_read_gap
        )
        and proofs.is_silent_since(host.last_seen, row.first_off_at)
    )


def _as_evidence(row: PowerController) -> dict[str, Any]:
    return {
        "controller": str(row),
        "state": row.state,
        "off_reads": row.off_reads,
        "first_off_at": row.first_off_at.isoformat() if row.first_off_at else None,
        "last_asked_at": row.asked_at.isoformat() if row.asked_at else None,
        "identity": row.identity,
    }


@transaction.atomic
def off_is_proven(host: Host, evidence: Evidence, *, rule: str, now: datetime) -> list[int]:
    """A host is proven off: close its runs, move it and its HA state, wake the round."""
    incident = open_incident(host.pk, now)
    looks.note_lost(host.pk, evidence.at)
    vms = runs.close_runs_of_host(host.pk, evidence, now, began_by=evidence.at)
    names = ", ".join(Vm.objects.filter(pk__in=vms).values_list("name", flat=True)) or "no VM"
    record_event(
        "host.proven_off",
        f"{host.name} is proven off ({evidence.kind}): {evidence.text}; runs ended: {names}",
        now=now,
        host=host.pk,
        cluster=host.cluster_id,
        incident=incident.pk,
        rule=rule,
        actor=evidence.actor,
        evidence=evidence.details,
    )
    for vm in Vm.objects.filter(pk__in=vms):
        text = f"{vm.name} belongs to this incident until it runs again"
        record_event("incident.vm", text, now=now, vm=vm.pk, incident=incident.pk)
    if Run.objects.filter(host=host, ended_at__isnull=True).exists():
        # A run that began after the question, or that another host may hold as
        # well: the host stays under suspicion, and is asked about that one anew.
        forget_readings(host.pk)
        wake_on_commit(ROUND, host.cluster_id)
        return vms
    looks.proven_off(host.pk, why=evidence.text, now=now)
    move_ha(host.pk, HaEvent.PROVEN_OFF, why=evidence.text, rule=rule, now=now)
    wake_on_commit(ROUND, host.cluster_id)
    return vms


@transaction.atomic
def powered_on(host_id: int, why: str, now: datetime) -> None:
    """The portal switched the host on: its old readings are about another time."""
    forget_readings(host_id)
    looks.powered_on(host_id, why=why, now=now)


@transaction.atomic
def switched_on(op: FenceOperation, host_id: int, now: datetime) -> None:
    """The BMC accepted *on*: the operation and the host change together, or neither.

    A silent host whose BMC says *on* all the while was not switched: it is judged as before.
    """
    silent = PowerController.objects.filter(host=host_id, host__status=HostStatus.NON_RESPONSIVE)
    was_on = silent.filter(state=PowerState.ON, problem="").exists()
    if work.finish(op, now, OperationState.DONE, "the BMC accepted on") and not was_on:
        powered_on(host_id, "switched on by the portal", now)


@transaction.atomic
def change_controller(controller: PowerController, now: datetime, **changes: Any) -> None:
    """Change how a controller is reached: what it said before counts no longer."""
    PowerController.objects.filter(pk=controller.pk).update(version=F("version") + 1)
    for name, value in changes.items():
        setattr(controller, name, value)
    controller.trusted, controller.distrust_reason = True, ""
    controller.identity, controller.state = Identity.UNPROVEN, PowerState.UNKNOWN
    controller.problem = controller.problem_text = ""
    controller.asked_at = controller.answered_at = controller.first_off_at = None
    controller.off_reads = 0
    controller.version += 1
    controller.save()
    looks.forget_disproof(controller.host_id)
    text = f"power controller of {controller.host.name} changed: it is tested anew"
    record_event("bmc.changed", text, now=now, host=controller.host_id)
    ask("check", controller.host_id, now=now, why="its settings changed")
    _hurry_fence(controller.host_id, now)


def is_down(host_id: int) -> bool:
    """Whether the host counts as proven off."""
    return Host.objects.filter(pk=host_id, status=HostStatus.DOWN).exists()
