"""From hosts and VMs to rooms and needs: what placement works on."""

from fencing.domain.facts import ClusterFacts, HostFacts
from hosts.domain.heartbeat import has_joined
from hosts.domain.states import ANSWERING, HostStatus, Wanted
from portal.lib.ha.states import HaState
from vms.domain.floor import Floor, RuleBook
from vms.domain.leases import NO_LEASES, needed
from vms.domain.placement import NO_LOCKSPACE, Need, Room
from vms.domain.proofs import OpenRun
from vms.domain.restart import HOST_SHUTDOWN_WINDOW, VmFacts, in_order, left_alone

#: vcpus of guests per vcpu of the host; CPU time can be shared, memory cannot.
VCPU_OVERCOMMIT = 4

_NOT_WHILE = {
    HaState.FENCING: "it is being fenced",
    HaState.FENCED: "it was fenced and has not been compared yet",
    HaState.RECOVERING: "it is being recovered",
    HaState.RECOVERED: "it is back, its list has not been compared yet",
}


def unfit(host: HostFacts) -> str:
    """Return why no VM may start on ``host`` now, or the empty text."""
    if host.status is not HostStatus.UP:
        return f"its status is {host.status}"
    if host.wanted is not Wanted.ACTIVE:
        return f"{host.wanted} is wanted for it"
    if host.drill_open:
        return "a fire drill is under way on it"
    if host.slow_since is not None:
        return "its last look is overdue"
    if host.first_contact:
        return "its list has not been compared yet"
    return _NOT_WHILE.get(host.ha, "")


def _goes_down(cluster: ClusterFacts, host: HostFacts) -> str:
    """Return that a host has just shut its guests down; one that stays up is used again."""
    at = cluster.emptied.get(host.pk)
    if at is None or host.last_seen is None or host.last_seen - at > HOST_SHUTDOWN_WINDOW:
        return ""
    if host.back_at is not None and host.back_at > at:
        return ""
    return "its guests have all shut down together: it seems to go down"


def rooms(cluster: ClusterFacts) -> list[Room]:
    """Return what each host of the cluster offers now; guests count on every possible holder."""
    guests: dict[int, list[VmFacts]] = {}
    for vm in cluster.vms:
        for holder in vm.run.holders if vm.run else ():
            guests.setdefault(holder, []).append(vm)
    return [_room(cluster, host, guests.get(host.pk, [])) for host in cluster.hosts]


def machines(cluster: ClusterFacts) -> list[Room]:
    """Return what each host would offer if it were empty."""
    return [_room(cluster, host, []) for host in cluster.hosts]


def _room(cluster: ClusterFacts, host: HostFacts, guests: list[VmFacts]) -> Room:
    return Room(
        host=host.pk,
        name=host.name,
        memory_mib=host.memory_mib - sum([vm.memory_mib for vm in guests]),
        vcpus=host.vcpus * VCPU_OVERCOMMIT - sum([vm.vcpus for vm in guests]),
        guests=len(guests),
        ha_guests=sum([vm.ha for vm in guests]),
        starting=cluster.starts_on.get(host.pk, 0),
        unfit=unfit(host) or _goes_down(cluster, host),
        cpu=host.cpu,
        networks=host.networks,
        storage=host.storage,
        lockspaces=frozenset([track.domain for track in host.heartbeats if has_joined(track)]),
    )


def floor(cluster: ClusterFacts, start_parallel: int = 0) -> Floor:
    """Return all rooms with the cluster's rules; 0: as many starts at once as policy says."""
    book = RuleBook(cluster.rules)
    there = {
        vm.pk: (vm.name, vm.run.holders)
        for vm in (cluster.vms if book.rules else ())
        if vm.run is not None and vm.pk in book
    }
    return Floor(rooms(cluster), book, start_parallel or cluster.policy.start_parallel, there)


def protected_on(cluster: ClusterFacts, host: int) -> list[VmFacts]:
    """Return the VMs that may run on a host and that HA would restart, in order of their turn."""
    mine = [vm for vm in cluster.vms if vm.ha and vm.wanted_up and vm.run and not left_alone(vm)]
    return in_order(vm for vm in mine if vm.run and _may_end_there(cluster, vm.run, host))


def _may_end_there(cluster: ClusterFacts, run: OpenRun, host: int) -> bool:
    """Whether the loss of ``host`` may end this run: it does not while its source goes on."""
    if run.migrating_to != host:
        return host in run.holders
    source = cluster.host(run.host)
    return source is None or source.status not in ANSWERING


def need(vm: VmFacts) -> Need:
    """Return what ``vm`` asks of a host."""
    avoid = frozenset({vm.refused_by}) if vm.refused_by is not None else frozenset()
    return Need(
        vm.pk, vm.name, vm.memory_mib, vm.vcpus, avoid, vm.ha, vm.cpu, vm.networks, vm.storage,
        NO_LOCKSPACE if vm.leases is NO_LEASES else needed(vm.leases),
    )  # fmt: skip
