"""Giving a VM a lease, taking it away, moving it: the rows, one transaction each.

Everything that is written to the storage is written by ``vms.operations.leasing``; what is
decided here is who has which slot, when a start takes it, and when nobody can hold it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from hosts.domain.slots import Entry, choice, lowest_free, taken_by
from hosts.models import StorageDomain
from hosts.services import work
from portal.core.models import OperationState
from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from vms.domain.leases import LeaseState, may_be_held
from vms.models import Lease, Vm, VmOperation
from vms.selectors.leases import given_slots, leases_of
from vms.services import leaving
from vms.services.inventory import NotNow
from vms.services.leaving import ADD, LEAVE, MOVE, REMOVE, is_resting, open_of

#: So often is looked whether a run that can hold a slot is over.
LEAVE_S = 30.0


class BadLease(Exception):
    """What was asked cannot be: ``field`` says by what, ``cure`` what to do."""

    def __init__(self, field: str, text: str, cure: str) -> None:
        super().__init__(text)
        self.field, self.cure = field, cure


def request_add(vm: Vm, domain: str, *, actor: str, now: datetime) -> VmOperation:
    """Ask that a VM gets a lease; raises :class:`BadLease` or ``NotNow``, nothing changed."""
    with transaction.atomic():
        row = _locked(vm)
        there = _domain(row, domain)
        _is_calm(row, there, now)
        _reserve(row, there)
        return _ask(ADD, row, there, actor=actor, now=now)


def request_remove(vm: Vm, domain: str, *, actor: str, now: datetime) -> VmOperation:
    """Ask that a VM's lease is taken away: from the next start on it is not taken."""
    with transaction.atomic():
        row = _locked(vm)
        mine = Lease.objects.filter(vm=row, domain__name=domain).select_related("domain").first()
        if mine is None:
            text = f"{row.name} has no lease in {domain!r:.60}"
            raise BadLease("domain", text, f"It has leases in: {_named(row)}.")
        if any(op.data.get("source") == mine.domain_id for op in open_of(row)):
            text = f"the lease of {row.name} in {domain} is being taken away already"
            raise BadLease("domain", text, "Wait until that operation has ended.")
        _is_calm(row, mine.domain, now)
        Lease.objects.filter(pk=mine.pk).update(state=LeaseState.LEAVING)
        source = mine.domain_id
        return _ask(REMOVE, row, mine.domain, actor=actor, now=now, source=source)


def request_move(
    vm: Vm, domain: str, source: str = "", *, actor: str, now: datetime
) -> VmOperation:
    """Ask that a VM's lease goes on in another domain; ``source`` where it has several."""
    with transaction.atomic():
        row = _locked(vm)
        old = _source(row, source)
        there = _domain(row, domain)
        _is_calm(row, there, now)
        _reserve(row, there)
        return _ask(MOVE, row, there, actor=actor, now=now, source=old.pk)


def _locked(vm: Vm) -> Vm:
    return Vm.objects.select_for_update(no_key=True).select_related("cluster").get(pk=vm.pk)


def _domain(vm: Vm, name: str) -> StorageDomain:
    known = {row.name: row for row in StorageDomain.objects.filter(cluster=vm.cluster_id)}
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        text = f"cluster {vm.cluster.name} has no storage domain {name!r:.60}"
        raise BadLease("domain", text, f"Name one of its domains: {names}.")
    if not known[name].lease_slots:
        text = f"storage domain {name} has no lease volume"
        cure = f"Make the volume “leases” in it, then run: manage.py leases prepare {name} SLOTS."
        raise BadLease("domain", text, cure)
    return known[name]


def _source(vm: Vm, name: str) -> StorageDomain:
    mine = {row.domain.name: row.domain for row in _settled(vm)}
    if (name and name not in mine) or (not name and len(mine) != 1):
        text = f"{vm.name} has no lease {f'in {name!r:.60}' if name else 'that is the only one'}"
        raise BadLease("from_domain", text, f"It has leases in: {_named(vm)}.")
    return mine[name] if name else next(iter(mine.values()))


def _settled(vm: Vm) -> list[Lease]:
    rows = Lease.objects.filter(vm=vm, state=LeaseState.READY)
    return list(rows.select_related("domain"))


def _named(vm: Vm) -> str:
    names = Lease.objects.filter(vm=vm).values_list("domain__name", flat=True)
    return ", ".join(sorted(names)) or "none"


def _is_calm(vm: Vm, domain: StorageDomain, now: datetime) -> None:
    """One change at a time; a lease that only waits to leave this domain is called back."""
    for op in open_of(vm):
        if is_resting(op) and op.data["source"] != domain.pk:
            continue
        if is_resting(op) and work.cancel_unclaimed(op, now, "it is wanted there again"):
            continue
        raise NotNow(
            f"a lease of {vm.name} is being changed already: {op.kind}",
            "Wait until that operation has ended.",
        )


def _reserve(vm: Vm, domain: StorageDomain) -> None:
    """Give the VM the lowest slot that is free by the rows; the index is asked later.

    One that it had there, and that has not left yet, it gets again.
    """
    there = Lease.objects.filter(vm=vm, domain=domain).first()
    if there is not None and there.state == LeaseState.READY:
        text = f"{vm.name} has a lease in {domain.name} already"
        raise BadLease("domain", text, "Choose another domain, or leave it as it is.")
    if there is not None:
        Lease.objects.filter(pk=there.pk).update(state=LeaseState.NEW)
        return
    StorageDomain.objects.select_for_update().get(pk=domain.pk)
    slot = lowest_free(domain.lease_slots, given_slots(domain.pk), {})
    if slot is None:
        text = f"all {domain.lease_slots} lease slots of {domain.name} are given"
        command = f"manage.py leases prepare {domain.name} SLOTS"
        cure = f"Make its volume “leases” longer, then run: {command}."
        raise BadLease("domain", text, cure)
    Lease.objects.create(vm=vm, domain=domain, slot=slot, state=LeaseState.NEW)


def _ask(
    kind: str, vm: Vm, domain: StorageDomain, *, actor: str, now: datetime, **more: Any
) -> VmOperation:
    op = leaving.ask_for(kind, vm, domain.pk, actor=actor, now=now, **more)
    if op is None:
        text = f"every host of {vm.cluster.name} is busy with a lease of {vm.name}"
        raise NotNow(text, "Wait until one of those operations has ended.")
    what = {ADD: "is to get a lease in", REMOVE: "is to lose its lease in"}
    text = f"{vm.name} {what.get(kind, 'is to have its lease moved to')} {domain.name}"
    _tell("lease.asked", text, vm, now, actor=actor, rule=kind)
    return op


# What the operation writes down


def row_of(op: VmOperation) -> Lease | None:
    """Return the lease that an operation makes or, once that is done, gives back."""
    domain = op.data["domain"] if op.step not in (LEAVE, "free") else op.data["source"]
    return Lease.objects.filter(vm=op.vm_id, domain=domain).select_related("domain").first()


@transaction.atomic
def choose(op: VmOperation, lease: Lease, index: Mapping[int, Entry], *, now: datetime) -> None:
    """Keep the slot that was reserved if the index agrees, else take another one."""
    StorageDomain.objects.select_for_update().get(pk=lease.domain_id)
    others = given_slots(lease.domain_id) - {lease.slot}
    mine = choice(op.vm.uuid, lease.slot, lease.domain.lease_slots, others, index)
    if mine is None:
        text = f"the index of {lease.domain.name} has given every slot to somebody"
        cure = f"Run: manage.py leases check {lease.domain.name}."
        if work.finish(op, now, OperationState.FAILED, text, code="no_slot", cure=cure):
            Lease.objects.filter(pk=lease.pk, state=LeaseState.NEW, sent=False).delete()
        return
    taken = index.get(mine) == taken_by(op.vm.uuid)
    text = f"slot {mine} of {lease.domain.name}"
    if work.wait(op, now, 0, text, step="slot" if taken else "index"):
        Lease.objects.filter(pk=lease.pk).update(slot=mine)


@transaction.atomic
def mark_sent(lease: Lease) -> bool:
    """The slot is about to be written; False: a write of it has left before this one."""
    fresh = Lease.objects.filter(pk=lease.pk, slot=lease.slot, state=LeaseState.NEW, sent=False)
    return bool(fresh.update(sent=True))


@transaction.atomic
def given_up(op: VmOperation, lease: Lease, *, now: datetime) -> None:
    """The index gives the slot to nobody any more: the lease looks for another one."""
    text = f"slot {lease.slot} is given up"
    if work.wait(op, now, 0, text, step="", data=op.data | {"burnt": op.data.get("burnt", 0) + 1}):
        Lease.objects.filter(pk=lease.pk).update(sent=False)


@transaction.atomic
def ready(op: VmOperation, lease: Lease, text: str, *, now: datetime) -> None:
    """The record is on the storage: every start takes it from now on; a move goes on."""
    source = op.data.get("source")
    if source is None:
        won = work.finish(op, now, OperationState.DONE, text)
    else:
        won = work.wait(op, now, 0, text, step=LEAVE)
    if not won:
        return
    mine = Lease.objects.filter(vm=op.vm_id)
    mine.filter(pk=lease.pk).update(state=LeaseState.READY, sent=False)
    mine.filter(domain=source).update(state=LeaseState.LEAVING)
    told = f"{op.vm.name} has a lease in {lease.domain.name}: {_counts_from(op.vm)}"
    _tell("lease.ready", told, op.vm, now, actor=op.requested_by)
    announce_on_commit("vm", op.vm_id, "lease")


def _counts_from(vm: Vm) -> str:
    runs = vm.runs.filter(ended_at__isnull=True).exists()
    return "it counts from its next start" if runs else "its next start takes it"


@transaction.atomic
def leave(op: VmOperation, lease: Lease, *, now: datetime) -> None:
    """Give the slot back as soon as neither an open run nor the last life can hold it."""
    vm = Vm.everything.select_for_update(no_key=True).get(pk=op.vm_id)
    if vm.quarantined:
        text = "a second copy of it was seen: whichever is left may hold the slot"
    elif may_be_held(leases_of(vm.pk), lease.domain_id):
        text = f"its copy may hold slot {lease.slot} of {lease.domain.name}: that must end first"
    else:
        text = f"nobody can hold slot {lease.slot} of {lease.domain.name}"
        work.wait(op, now, 0, text, step="free")
        return
    work.wait(op, now, LEAVE_S, text, step=LEAVE)


@transaction.atomic
def forgotten(op: VmOperation, lease: Lease | None, *, now: datetime) -> None:
    """The index calls the slot free: the row goes, and the slot may be given again."""
    if not work.finish(op, now, OperationState.DONE, "its slot is free again"):
        return
    if lease is not None:
        lease.delete()
        text = f"{op.vm.name} has no lease in {lease.domain.name} any more"
        _tell("lease.gone", text, op.vm, now, actor=op.requested_by)
        announce_on_commit("vm", op.vm_id, "lease")
    if op.vm.removed_at is not None:
        leaving.leave_all(op.vm, actor=op.requested_by, now=now)


def _tell(kind: str, text: str, vm: Vm, now: datetime, **more: Any) -> None:
    record_event(kind, text, now=now, vm=vm.pk, cluster=vm.cluster_id, **more)
