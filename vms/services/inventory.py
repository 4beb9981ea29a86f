"""Entering and changing VMs; what a person wants of them."""

from datetime import datetime
from typing import Any

from django.db import transaction

from portal.core import edits
from portal.core.models import OperationState
from portal.core.services import record_event
from portal.lib import own_machine
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit
from vms.domain.states import VmState
from vms.models import Disk, Run, Vm, VmOperation
from vms.services.removing import stop_cleaning
from vms.services.requests import ask

ROUND = "fencing.round"


class NotNow(Exception):
    """What was asked does not fit the VM's state; the text says why, ``cure`` what to do."""

    def __init__(self, text: str, cure: str) -> None:
        super().__init__(text)
        self.cure = cure


@transaction.atomic
def add_vm(fields: dict[str, Any], *, actor: str, now: datetime) -> Vm:
    """Enter a VM that is down; ``disks`` are what its XML writes to: path to shareable.

    One that was removed comes back in its old row, with its generation and its
    history; raises :class:`NotNow` while its definitions are being taken away.
    """
    columns = {name: value for name, value in fields.items() if name != "disks"}
    vm = _revived(columns, now) or Vm.objects.create(state_since=now, **columns)
    _keep_disks(vm, fields.get("disks", {}))
    text = f"{vm.name} was added to cluster {vm.cluster.name}"
    record_event("vm.added", text, now=now, actor=actor, vm=vm.pk, cluster=vm.cluster_id)
    announce_on_commit("vm", vm.pk, "added")
    return vm


def _revived(columns: dict[str, Any], now: datetime) -> Vm | None:
    """Return the removed row of this UUID, brought back as if new; None if there is none."""
    rows = Vm.everything.filter(uuid=columns.get("uuid"), removed_at__isnull=False)
    vm = rows.select_for_update(no_key=True).first()
    if vm is None:
        return None
    if not stop_cleaning(vm.pk, now):
        text = f"{vm.name} is just being removed from its hosts"
        raise NotNow(text, "Wait until that operation has ended.")
    fresh = Vm(state_since=now, **columns)
    for field in Vm._meta.concrete_fields:
        if field.name not in _KEPT:
            setattr(vm, field.attname, getattr(fresh, field.attname))
    vm.version += 1
    vm.save()
    return vm


#: What stays of a VM that was removed: who it is, and the fencing token.
_KEPT = ("id", "uuid", "generation", "version")


@transaction.atomic
def edit(vm: Vm, changes: dict[str, Any], *, actor: str, now: datetime) -> None:
    """Change a VM as it was read; raises ``portal.core.edits.Stale``."""
    changes = dict(changes)
    disks = changes.pop("disks", None)
    edits.edit(vm, "vm", changes)
    if disks is not None:
        _keep_disks(vm, disks)
    told = {name: str(value) for name, value in changes.items() if name != "xml"}
    record_event(
        "vm.edited",
        f"{vm.name}: {', '.join(sorted(changes)) or 'nothing'} changed",
        now=now,
        actor=actor,
        vm=vm.pk,
        cluster=vm.cluster_id,
        evidence=told,
    )
    wake_on_commit(ROUND, vm.cluster_id)


def _keep_disks(vm: Vm, disks: dict[str, bool]) -> None:
    """Write down what a VM writes to; a copy that runs still writes to what it had."""
    if not vm.runs.filter(ended_at__isnull=True).exists():
        vm.disks.exclude(path__in=disks).delete()
    for path, shareable in disks.items():
        Disk.objects.update_or_create(
            vm=vm, path=path, defaults={"writable": True, "shareable": shareable}
        )


@transaction.atomic
def want(vm: Vm, *, up: bool, actor: str, now: datetime) -> None:
    """Take down whether a person wants the VM to run; automation keeps to it."""
    if Vm.objects.filter(pk=vm.pk).exclude(wanted_up=up).update(wanted_up=up):
        word = "up" if up else "down"
        record_event(
            f"vm.wanted_{word}",
            f"{vm.name}: wanted {word}",
            now=now,
            actor=actor,
            vm=vm.pk,
            cluster=vm.cluster_id,
        )
        announce_on_commit("vm", vm.pk, "wanted")


@transaction.atomic
def act(vm: Vm, kind: str, *, actor: str, now: datetime) -> VmOperation:
    """Ask for a small act on the running copy; raises :class:`NotNow` when there is none.

    ``shutdown`` and ``stop`` first take down that the VM is wanted down, so that
    nobody takes its end for a failure, and a VM that waits for its restart stays down.
    """
    if vm.uuid == own_machine.uuid():
        text = f"this portal runs in {vm.name}"
        raise NotNow(text, "Do that on its host, or from another engine.")
    run = Run.objects.filter(vm=vm, ended_at__isnull=True).first()
    last = vm.runs.order_by("-generation").first()
    down, was_wanted = kind in ("shutdown", "stop"), vm.wanted_up
    if run is None and (last is None or not down or not vm.wanted_up):
        raise NotNow(f"{vm.name} does not run", "Nothing needs to be done, or start it first.")
    if run is not None and run.migrating_to_id is not None:
        text = f"{vm.name} is just being migrated"
        raise NotNow(text, "Wait until it has arrived, or cancel that operation first.")
    if down:
        want(vm, up=False, actor=actor, now=now)
    if run is None:
        return _nothing_to_do(kind, vm, last, actor=actor, now=now)
    undo = {"was_wanted_up": True} if down and was_wanted else {}
    return ask(kind, vm.pk, run.host_id, now=now, run=run, by=actor, **undo)


def _nothing_to_do(
    kind: str, vm: Vm, last: Run | None, *, actor: str, now: datetime
) -> VmOperation:
    """Return the finished operation of a VM that was asked to end and did not run."""
    if last is None:
        raise NotNow(f"{vm.name} has never run", "Nothing needs to be done.")
    return VmOperation.objects.create(
        kind=kind,
        vm=vm,
        host_id=last.host_id,
        state=OperationState.DONE,
        steps=[{"at": now.isoformat(), "text": "it did not run; it stays down"}],
        requested_by=actor,
        requested_at=now,
        due_at=now,
        ended_at=now,
    )


@transaction.atomic
def release(vm: Vm, *, actor: str, now: datetime) -> None:
    """A person has chosen between two copies: automation may deal with the VM again."""
    won = Vm.objects.filter(pk=vm.pk, quarantined=True).update(
        quarantined=False,
        state=VmState.UNKNOWN,
        state_reason=f"released by {actor}; the next look tells",
        state_since=now,
    )
    if not won:
        raise NotNow(f"{vm.name} is not quarantined", "Nothing needs to be done.")
    text = f"{vm.name}: released from quarantine by {actor}"
    record_event("vm.released", text, now=now, actor=actor, vm=vm.pk, cluster=vm.cluster_id)
    announce_on_commit("vm", vm.pk, "state")
    run = Run.objects.filter(vm=vm, ended_at__isnull=True).first()
    if run is not None:
        # The alarm may have frozen it; only the open run's copy is ever resumed.
        ask("resume", vm.pk, run.host_id, now=now, run=run, by=actor)
    wake_on_commit(ROUND, vm.cluster_id)
