"""What a cluster can lose: for each host, whether its HA VMs would find homes on the others.

Homes are chosen on the same ``floor`` as in the plan.  How many
starts a host takes at once does not count here: they come in turns, and room is
what is left at the end.  VMs that wait for room already have an alert of their own.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import combinations

from fencing.domain.facts import ClusterFacts
from fencing.domain.homes import VCPU_OVERCOMMIT, floor, need, rooms
from vms.domain.floor import Floor
from vms.domain.placement import Need
from vms.domain.restart import VmFacts, in_order, left_alone

_IN_TURNS = sys.maxsize


@dataclass(frozen=True, slots=True)
class Loss:
    """A host, and those of its HA VMs that no other host has room for: (id, name).

    Of several hosts at once, ``host`` is the first, and ``name`` names them all.
    """

    host: int
    name: str
    unplaced: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is on the hosts that may take VMs; ``free`` counts the overcommit."""

    total: int
    used: int
    free: int


def losses(cluster: ClusterFacts, together: int = 1) -> Iterator[Loss]:
    """Yield what it would mean to lose ``together`` hosts at once, those with most to lose first.

    An iterator, so that whoever asks may stop when time is up: one host at a time is
    soon asked of all, while of two or more there are too many combinations, and the
    first ones are the worst as far as their own VMs' memory tells.
    """
    whole = floor(cluster, _IN_TURNS)
    mine = _restarted(cluster)
    weight = {host: sum(vm.memory_mib for vm in vms) for host, vms in mine.items()}
    ranked = sorted(cluster.hosts, key=lambda host: (-weight.get(host.pk, 0), host.name))
    for hosts in combinations(ranked, together):
        vms = [vm for host in hosts for vm in mine.get(host.pk, ())]
        name = " and ".join(host.name for host in hosts)
        yield Loss(hosts[0].pk, name, _homeless(whole, {host.pk for host in hosts}, vms))


def _homeless(whole: Floor, lost: Set[int], vms: Iterable[VmFacts]) -> tuple[tuple[int, str], ...]:
    """Return which of ``vms`` find no home when the hosts ``lost`` are gone."""
    spare, turns = whole.without(lost), in_order(vms)
    spare.expect(map(need, turns))
    return tuple((vm.pk, vm.name) for vm in turns if not _placed(spare, need(vm)))


def _placed(spare: Floor, its: Need) -> bool:
    """Give a VM the home that the plan would choose, if there is one."""
    home = spare.find(its)
    if home is not None:
        spare.take(home, its)
    return home is not None


def _restarted(cluster: ClusterFacts) -> dict[int, list[VmFacts]]:
    """Return, by host, the VMs that a proof about this host would let restart."""
    found: dict[int, list[VmFacts]] = {}
    for vm in cluster.vms:
        if vm.ha and vm.wanted_up and vm.run and len(vm.run.holders) == 1 and not left_alone(vm):
            found.setdefault(vm.run.host, []).append(vm)
    return found


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
    die = "die" if " and " in host else "dies"
    if not number:
        return f"If {host} {die}, every HA VM on it finds a home"
    some = ", ".join(vms[:_NAMED])
    more = f" and {number - _NAMED} more" if number > _NAMED else ""
    have = "1 VM has" if number == 1 else f"{number} VMs have"
    return f"If {host} {die}, {have} no home: {some}{more}"


def all_in_words(unplaced: Iterable[tuple[str, Sequence[str], int]], ok: bool | None) -> list[str]:
    """Return one sentence for each host whose loss would leave VMs down, or one for all."""
    told = [in_words(host, vms, count) for host, vms, count in unplaced]
    if told or ok is False:
        return told
    if ok is None:
        return ["Not every host could be looked at: the cluster is large, and time was short"]
    return ["Whichever host dies, every HA VM finds a home"]
