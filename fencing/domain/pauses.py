"""VMs that stand still on a storage error: go on, wait for a person, or end there."""

from collections.abc import Iterator
from datetime import datetime

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.intentions import Intention, Kill, Raise, Revive, over
from vms.domain.condition import KILL_AFTER, Remedy, in_force, remedy
from vms.domain.restart import VmFacts
from vms.domain.states import ResumeBehaviour, VmState

_KILL_S = f"{KILL_AFTER.total_seconds():g} s"
_WHAT_NEXT = {
    ResumeBehaviour.AUTO_RESUME: "it is resumed as soon as its storage answers",
    ResumeBehaviour.LEAVE_PAUSED: "it is left so for a person",
    ResumeBehaviour.KILL: (
        f"it is resumed if its storage answers within {_KILL_S}, then ended there for a restart"
    ),
}


def paused(cluster: ClusterFacts, vm: VmFacts, now: datetime) -> Iterator[Intention]:
    """Return what is done about a VM whose copy was stopped, but not by a person."""
    host = cluster.host(vm.run.host) if vm.run else None
    if host is None or vm.state is not VmState.PAUSED:
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.VM_PAUSED)
        return
    if vm.condition.io_error_since is None:
        yield Raise(AlertKind.VM_PAUSED, 0, vm.pk, f"paused on {host.name}, and not by a person")
        return
    text = f"paused on {host.name} by an error of its storage"
    yield Raise(AlertKind.VM_PAUSED, 0, vm.pk, f"{text}; {_WHAT_NEXT[_behaviour(vm)]}")
    if cluster.armed and not cluster.distrust and not vm.quarantined and not vm.condition.own:
        yield from _helped(vm, host, vm.condition.io_error_since, now)


def _behaviour(vm: VmFacts) -> ResumeBehaviour:
    return in_force(vm.condition.behaviour, ha=vm.ha, leased=bool(vm.leases.carried))


def _helped(vm: VmFacts, host: HostFacts, since: datetime, now: datetime) -> Iterator[Intention]:
    wanted = remedy(_behaviour(vm), since, now)
    if wanted is None or wanted in vm.condition.in_hand:
        return
    if wanted is Remedy.REVIVE:
        yield Revive(vm.pk, host.pk, "its storage has stopped it, and shall let it go on")
    else:
        yield Kill(vm.pk, host.pk, f"its storage has stopped it for {_KILL_S}")
