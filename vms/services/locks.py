"""Locks on VMs: who must not be disturbed by a start waits for it, and is told why."""

from datetime import datetime, timedelta

from django.db import transaction

from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit
from vms import selectors
from vms.models import Vm, VmLock
from vms.services.inventory import ROUND, NotNow


@transaction.atomic
def lock(vm: Vm, *, why: str, for_s: float | None, actor: str, now: datetime) -> VmLock:
    """Lock a VM, for ``for_s`` seconds or until somebody unlocks it; raises :class:`NotNow`.

    Whoever works on it for a while gives a time: should it die, the lock ends by itself.
    Its own lock is renewed by the same caller.
    """
    Vm.objects.select_for_update(no_key=True).get(pk=vm.pk)  # no start of it meanwhile
    there = selectors.locks_in_force(now).filter(vm=vm).exclude(by=actor).first()
    if there is not None:
        raise NotNow(f"{vm.name} is locked by {there.by}: {there.why}", "Wait, or unlock it first.")
    until = None if for_s is None else now + timedelta(seconds=for_s)
    fields = {"by": actor, "why": why, "at": now, "until": until}
    row, _ = VmLock.objects.update_or_create(vm=vm, defaults=fields)
    ends = f"until {until:%H:%M:%S} UTC" if until else "until somebody unlocks it"
    text = f"{vm.name}: locked by {actor} {ends}: {why}"
    record_event("vm.locked", text, now=now, actor=actor, vm=vm.pk, cluster=vm.cluster_id)
    announce_on_commit("vm", vm.pk, "locked")
    return row


@transaction.atomic
def unlock(vm: Vm, *, actor: str, now: datetime) -> None:
    """Take a VM's lock away, whoever has it; raises :class:`NotNow` when there is none."""
    there = selectors.locks_in_force(now).filter(vm=vm).first()
    if there is None:
        raise NotNow(f"{vm.name} is not locked", "Nothing needs to be done.")
    there.delete()
    text = f"{vm.name}: unlocked by {actor}; it was locked by {there.by}: {there.why}"
    record_event("vm.unlocked", text, now=now, actor=actor, vm=vm.pk, cluster=vm.cluster_id)
    announce_on_commit("vm", vm.pk, "unlocked")
    wake_on_commit(ROUND, vm.cluster_id)
