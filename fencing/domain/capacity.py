"""What a cluster can lose: for each host, whether its HA VMs would find homes on the others.

Homes are chosen by the same ``rooms`` and ``choose`` as in the plan.  How many
starts a host takes at once does not count here: they come in turns, and room is
what is left at the end.  VMs that wait for room already have an alert of their own.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fencing.domain.facts import ClusterFacts
from fencing.domain.homes import VCPU_OVERCOMMIT, need, rooms
from vms.domain.placement import Need, Room, choose, take
from vms.domain.restart import VmFacts, hindrance, in_order

#: So many of the roomiest hosts are asked before all of them.
_SHORTLIST = 16
_IN_TURNS = sys.maxsize


@dataclass(frozen=True, slots=True)
class Loss:
    """A host, and those of its HA VMs that no other host has room for: (id, name)."""

    host: int
    name: str
    unplaced: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is on the hosts that may take VMs; ``free`` counts the overcommit."""

    total: int
    used: int
    free: int


def losses(cluster: ClusterFacts) -> Iterator[Loss]:
    """Yield what the loss of each host would mean, those with most to lose first.

    An iterator, so that whoever asks may stop when time is up.
    """
    fit = sorted((room for room in rooms(cluster) if not room.unfit), key=_roomy)
    mine = _restarted(cluster)
    weight = {host: sum(vm.memory_mib for vm in vms) for host, vms in mine.items()}
    for host in sorted(cluster.hosts, key=lambda host: (-weight.get(host.pk, 0), host.name)):
        spare = _Spare([room for room in fit if room.host != host.pk])
        vms = in_order(mine.get(host.pk, ()))
        homeless = tuple((vm.pk, vm.name) for vm in vms if not spare.takes(need(vm)))
        yield Loss(host.pk, host.name, homeless)


def _restarted(cluster: ClusterFacts) -> dict[int, list[VmFacts]]:
    """Return, by host, the VMs that a proof about this host would let restart."""
    found: dict[int, list[VmFacts]] = {}
    for vm in cluster.vms:
        if vm.ha and vm.wanted_up and vm.run and len(vm.run.holders) == 1 and not hindrance(vm):
            found.setdefault(vm.run.host, []).append(vm)
    return found


def _roomy(room: Room) -> tuple[int, int, str]:
    """Sort key: the order in which ``choose`` prefers hosts."""
    return (-room.memory_mib, room.guests, room.name)


class _Spare:
    """Rooms in the order of preference, of which mostly the first few must be asked."""

    def __init__(self, sorted_rooms: Sequence[Room]) -> None:
        self._rooms = sorted_rooms
        self._taken: dict[int, Room] = {}

    def takes(self, need: Need) -> bool:
        """Give ``need`` the home that ``choose`` would choose of all rooms, if there is one."""
        end = _SHORTLIST + len(self._taken)
        head = [self._taken.get(room.host, room) for room in self._rooms[:end]]
        near = {room.host: room for room in head} | self._taken
        if need.memory_mib > max((room.memory_mib for room in near.values()), default=-1):
            return False  # those further down have less
        host = choose(need, near.values(), _IN_TURNS).host
        beyond = self._rooms[end] if end < len(self._rooms) else None
        if beyond is not None and not _surely_best(host, near, need, beyond):
            near |= {room.host: room for room in self._rooms[end:]} | self._taken
            host = choose(need, near.values(), _IN_TURNS).host
        if host is None:
            return False
        self._taken[host] = take(near[host], need)
        return True


def _surely_best(host: int | None, near: dict[int, Room], need: Need, beyond: Room) -> bool:
    """Whether no room from ``beyond`` on could be preferred to the one found."""
    return host is not None and host not in need.avoid and _roomy(near[host]) <= _roomy(beyond)


def amounts(cluster: ClusterFacts) -> tuple[Amount, Amount]:
    """Return memory (MiB) and vcpus of the hosts that may take VMs now."""
    fit = {room.host: room for room in rooms(cluster) if not room.unfit}
    hosts = [host for host in cluster.hosts if host.pk in fit]
    memory, vcpus = sum(host.memory_mib for host in hosts), sum(host.vcpus for host in hosts)
    free_memory = sum(max(room.memory_mib, 0) for room in fit.values())
    free_vcpus = sum(max(room.vcpus, 0) for room in fit.values())
    used_memory = sum(host.memory_mib - fit[host.pk].memory_mib for host in hosts)
    used_vcpus = sum(host.vcpus * VCPU_OVERCOMMIT - fit[host.pk].vcpus for host in hosts)
    return Amount(memory, used_memory, free_memory), Amount(vcpus, used_vcpus, free_vcpus)


#: So many VMs are named in a sentence.
_NAMED = 5


def in_words(host: str, vms: Sequence[str], count: int | None = None) -> str:
    """Say what the loss of ``host`` would mean: "If node3 dies, 2 VMs have no home: db1, web4".

    ``count`` is how many there are, when ``vms`` are only the first of them.
    """
    number = len(vms) if count is None else count
    if not number:
        return f"If {host} dies, every HA VM on it finds a home"
    some = ", ".join(vms[:_NAMED])
    more = f" and {number - _NAMED} more" if number > _NAMED else ""
    have = "1 VM has" if number == 1 else f"{number} VMs have"
    return f"If {host} dies, {have} no home: {some}{more}"


def all_in_words(unplaced: Iterable[tuple[str, Sequence[str], int]], ok: bool | None) -> list[str]:
    """Return one sentence for each host whose loss would leave VMs down, or one for all."""
    told = [in_words(host, vms, count) for host, vms, count in unplaced]
    if told or ok is False:
        return told
    if ok is None:
        return ["Not every host could be looked at: the cluster is large, and time was short"]
    return ["Whichever host dies, every HA VM finds a home"]
