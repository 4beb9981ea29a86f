"""Giving the leases of a host that is proven off free, so that its VMs start at once.

sanlock itself waits until the host must be dead by its own clock (140 s).  A proof
knows it sooner: the host's record in the lockspace is marked free, and sanlock then
hands its leases to whoever asks first.  Only ``power_off`` allows that: after anybody's
word, or a proof about the copy alone, nothing is written, and sanlock decides.
"""

from collections.abc import Iterator

from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.intentions import FreeLeases, Intention
from hosts.domain.states import HostStatus
from hosts.domain.tracks import Track
from vms.domain.restart import VmFacts
from vms.domain.states import ProofKind

#: After so many failures the VMs start as sanlock lets them.
TRIES = 3


def was_proven_off_on(vm: VmFacts, host: int) -> bool:
    """Whether the VM is down because its host was proven off by a controller of its own."""
    leases = vm.leases
    return vm.run is None and leases.left_on == host and leases.left_by is ProofKind.POWER_OFF


def to_free(cluster: ClusterFacts, host: HostFacts) -> tuple[Track, ...]:
    """Return the lockspaces in which this host's record still keeps leases of its VMs.

    Nothing of a host that may be starting: what it writes itself must not be written over.
    """
    if host.status is not HostStatus.DOWN or host.power_on_open:
        return ()
    held = {
        domain
        for vm in cluster.left_leases_on(host.pk)
        if was_proven_off_on(vm, host.pk)
        for domain in vm.leases.left
    }
    return tuple(
        track
        for track in host.heartbeats
        if track.domain in held and track.owner and not track.is_free and track.free_tries < TRIES
    )


def freeing(cluster: ClusterFacts, host: HostFacts) -> Iterator[Intention]:
    """Ask that the host's leases are given free."""
    keeping = to_free(cluster, host) if cluster.armed and not cluster.distrust else ()
    if keeping and not host.free_open:
        names = ", ".join(track.name for track in keeping)
        yield FreeLeases(host.pk, f"it is proven off, and its id in {names} keeps leases")


def is_being_freed(cluster: ClusterFacts, host: HostFacts) -> bool:
    """Whether a start, or switching the host on, must wait for its leases to be free."""
    return host.free_open or bool(to_free(cluster, host))


def hold(cluster: ClusterFacts, vm: VmFacts) -> str:
    """Return that the leases of the VM's dead host are given free first, or the empty text."""
    host = cluster.host(vm.leases.left_on) if vm.leases.left else None
    if host is None or not was_proven_off_on(vm, host.pk) or not is_being_freed(cluster, host):
        return ""
    return f"the id of {host.name} is marked free first, so that sanlock gives its lease"
