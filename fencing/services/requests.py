"""Operations that a person takes back, or asks for again."""

from datetime import datetime

from django.db import transaction

from fencing.domain.departing import DepartStep, Departure
from fencing.domain.steps import FenceStep
from fencing.models import FenceOperation
from fencing.services import departures, inventory, migrations, starts
from fencing.services.ha import move_ha
from fencing.services.inventory import NotAllowed
from hosts.models import ClusterMode
from hosts.services import work
from portal.core.models import Operation, OperationState
from portal.core.services import record_event
from portal.core.shapes import slug_of
from portal.lib.ha.states import HaEvent, HaState
from portal.lib.live import announce_on_commit
from vms.models import VmOperation
from vms.services import inventory as vm_inventory
from vms.services import migrating

#: Ended in a way that leaves something to be asked for again.
_AGAIN = (OperationState.FAILED, OperationState.REFUSED, OperationState.CANCELLED)
#: Kind of a fence operation -> the wish that makes it anew.
_POWER = {"check": "status", "fence": "off", "power_on": "on"}
_ACTS = ("shutdown", "stop", "suspend", "resume")


@transaction.atomic
def cancel(op: Operation, *, actor: str, now: datetime) -> None:
    """Withdraw an operation that has touched nothing yet; raises :class:`NotAllowed`."""
    if not op.is_open:
        raise NotAllowed(f"it is {op.state} already", "Nothing needs to be done.")
    if isinstance(op, VmOperation) and op.kind == "migrate":
        _cancel_migration(op, actor=actor, now=now)
        return
    _may_be_cancelled(op)
    if not work.cancel_unclaimed(op, now, f"cancelled by {actor}"):
        text = "an engine is acting on it at this moment"
        raise NotAllowed(text, "Watch how it ends; while it waits for its next step, try again.")
    if isinstance(op, VmOperation) and op.data.get("was_wanted_up"):
        vm_inventory.want(op.vm, up=True, actor=actor, now=now)
    if isinstance(op, FenceOperation) and op.kind in list(Departure):
        departures.called_off(op, now=now)
    if isinstance(op, FenceOperation) and op.kind == "fence":
        move_ha(op.host_id, HaEvent.RELEASED, why=f"cancelled by {actor}", rule="", now=now)
    _tell(op, f"{actor} cancelled {op.kind}", actor, now)
    announce_on_commit("operation", op.pk, op.kind)


def _cancel_migration(op: VmOperation, *, actor: str, now: datetime) -> None:
    """Ask for it to be stopped: it ends when both hosts have told where the VM is."""
    if not migrating.cancel(op, now=now):
        text = "it is over but for its last step, or an engine is acting on it at this moment"
        raise NotAllowed(text, "Watch how it ends; if it goes on, try again.")
    _tell(op, f"{actor} cancelled {op.kind}", actor, now)
    announce_on_commit("operation", op.pk, op.kind)


def _may_be_cancelled(op: Operation) -> None:
    if isinstance(op, FenceOperation):
        _fence_may_be_cancelled(op)
    elif isinstance(op, VmOperation) and op.kind not in _ACTS:
        text = f"a {op.kind} belongs to a run that is open: only a proof ends that"
        raise NotAllowed(text, "Stop the VM instead; that ends its run with a proof.")
    elif op.state != OperationState.REQUESTED:
        text = "its command may have reached the host"
        raise NotAllowed(text, "Watch how it ends, then ask for the opposite.")


def _fence_may_be_cancelled(op: FenceOperation) -> None:
    if op.kind in list(Departure) and op.step not in ("", DepartStep.GUESTS):
        text = "the machine may have been asked to shut down"
        raise NotAllowed(text, "Watch how it ends; then switch the host on.")
    if op.kind == "power_on" and op.state != OperationState.REQUESTED:
        text = "its command may have reached the BMC"
        raise NotAllowed(text, "Watch how it ends, then switch the host off.")
    if op.kind != "fence":
        return
    if op.data.get("commanded") or op.step == FenceStep.READ:
        text = "its power command may be on its way: only reading off ends it now"
        cure = "Watch how it ends; or, if the host is certainly off, confirm that."
        raise NotAllowed(text, cure)
    armed = op.host.cluster.mode == ClusterMode.ARMED
    ha = getattr(op.host, "ha", None)
    if op.requested_by == "portal" and armed and ha is not None and ha.state != HaState.DISABLED:
        text = "HA wants this fence, and would ask for it again at once"
        cure = "Disable HA for the host, or set its cluster to observe; then cancel."
        raise NotAllowed(text, cure)


@transaction.atomic
def retry(op: Operation, *, actor: str, now: datetime) -> Operation:
    """Ask for the same again; raises :class:`NotAllowed` or ``NotNow``, having changed nothing."""
    if op.state not in _AGAIN:
        words = "is still open" if op.is_open else "has succeeded"
        raise NotAllowed(f"it {words}", "Only what failed, was refused or cancelled is retried.")
    if isinstance(op, VmOperation) and op.kind == "start":
        return starts.start_vm(op.vm, None, actor=actor, now=now)
    if isinstance(op, VmOperation) and op.kind == "migrate":
        return migrations.migrate_vm(op.vm, None, actor=actor, now=now)
    if isinstance(op, VmOperation) and op.kind in _ACTS:
        return vm_inventory.act(op.vm, op.kind, actor=actor, now=now)
    if isinstance(op, FenceOperation) and op.kind in _POWER:
        return inventory.switch_power(op.host, _POWER[op.kind], actor=actor, now=now)
    if isinstance(op, FenceOperation) and op.kind in list(Departure):
        return departures.ask(op.host, Departure(op.kind), actor=actor, now=now)
    if op.kind == "confirm":
        text = "a person's word is given anew, with the name and the reason"
        raise NotAllowed(text, "Confirm the host again.")
    raise NotAllowed(f"a {op.kind} is not asked for by hand", "Nothing needs to be done.")


def _tell(op: Operation, text: str, actor: str, now: datetime) -> None:
    kind = "vm" if isinstance(op, VmOperation) else "host"
    target = getattr(op, kind)
    about = {kind: target.pk, "cluster": target.cluster_id}
    about["incident"] = getattr(op, "incident_id", None) or 0
    evidence = {"operation": slug_of(op), "requested_by": op.requested_by}
    record_event(
        "operation.cancelled",
        f"{target.name}: {text}",
        now=now,
        actor=actor,
        evidence=evidence,
        **about,
    )
