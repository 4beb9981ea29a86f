"""Is a plan right?  Judged anew from facts and intentions, by none of the planner's own code.

Only what the planner promises of homes is judged: capacity, filters, hard rules, the best
class of hosts, and that a VM without a home has none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.homes import VCPU_OVERCOMMIT
from fencing.domain.intentions import Hold, Intention, Raise, Start
from hosts.domain.states import HostStatus, Wanted
from vms.domain.affinity import Rule, RuleKind
from vms.domain.cpu import cannot_run
from vms.domain.restart import VmFacts


@dataclass
class _End:
    """The cluster as the plan leaves it."""

    facts: ClusterFacts
    hosts: dict[int, HostFacts]
    vms: dict[int, VmFacts]
    on: dict[int, set[int]] = field(default_factory=dict)  # by host: the VMs that may be there
    of: dict[int, set[int]] = field(default_factory=dict)  # by VM: hosts
    starts: dict[int, int] = field(default_factory=dict)  # by host

    def put(self, vm: int, host: int) -> None:
        self.on.setdefault(host, set()).add(vm)
        self.of.setdefault(vm, set()).add(host)

    def free(self, host: HostFacts) -> tuple[int, int]:
        there = [self.vms[vm] for vm in self.on.get(host.pk, ())]
        memory = host.memory_mib - sum(vm.memory_mib for vm in there)
        return memory, host.vcpus * VCPU_OVERCOMMIT - sum(vm.vcpus for vm in there)


def wrong_with(facts: ClusterFacts, wishes: Iterable[Intention]) -> list[str]:
    """Return every promise that the plan ``wishes`` breaks; nothing means that it is right."""
    known = list(wishes)
    started = {wish.vm: wish.host for wish in known if isinstance(wish, Start)}
    raised = [wish for wish in known if isinstance(wish, Raise)]
    homeless = {wish.vm for wish in raised if wish.kind == AlertKind.NO_ROOM}
    end = _End(facts, {host.pk: host for host in facts.hosts}, {vm.pk: vm for vm in facts.vms})
    for vm in facts.vms:
        for host in vm.run.holders if vm.run else ():
            end.put(vm.pk, host)
    for pk, host in started.items():
        end.put(pk, host)
        end.starts[host] = end.starts.get(host, 0) + 1
    found = [*_overfull(end), *_misplaced(end, started), *_has_a_home(end, homeless)]
    held = {wish.vm for wish in known if isinstance(wish, Hold)}
    found += [f"VM {pk} has no home, and nobody says why" for pk in sorted(homeless - held)]
    found += [f"VM {pk} is started and held" for pk in sorted(started.keys() & held)]
    return found


def _overfull(end: _End) -> Iterator[str]:
    for pk, count in sorted(end.starts.items()):
        host = end.hosts[pk]
        if host.status is not HostStatus.UP or host.wanted is not Wanted.ACTIVE:
            yield f"{host.name} is no home: {host.status}"
        if min(end.free(host)) < 0:
            yield f"{host.name} is given more than it has"
        if count + end.facts.starts_on.get(pk, 0) > end.facts.policy.start_parallel:
            yield f"{host.name} is given too many starts at once"


def _misplaced(end: _End, started: dict[int, int]) -> Iterator[str]:
    for pk, host in sorted(started.items()):
        vm, home = end.vms[pk], end.hosts[host]
        if vm.run is not None:
            yield f"{vm.name} is started beside its open run"
        if _lacks(home, vm):
            yield f"{home.name} cannot run {vm.name}"
        for rule in _rules(end, pk):
            if rule.hard and _breaks(end, rule, pk, host):
                yield f"{vm.name} on {home.name} breaks {rule.name}"
            if rule.kind is RuleKind.HOSTS:
                yield from _better(end, rule, vm, host)


def _rules(end: _End, vm: int) -> list[Rule]:
    return [rule for rule in end.facts.rules if vm in rule.vms]


def _lacks(host: HostFacts, vm: VmFacts) -> bool:
    return (
        bool(cannot_run(host.cpu, vm.cpu))
        or (host.networks is not None and not vm.networks <= host.networks)
        or (host.storage is not None and not vm.storage <= host.storage)
    )


def _breaks(end: _End, rule: Rule, vm: int, host: int) -> bool:
    if rule.kind is RuleKind.HOSTS:
        return host not in rule.hosts
    mates = [end.of[mate] for mate in rule.vms - {vm} if mate in end.of]
    here = any(host in hosts for hosts in mates)
    return here if rule.kind is RuleKind.SEPARATE else bool(mates) and not here


def _better(end: _End, rule: Rule, vm: VmFacts, host: int) -> Iterator[str]:
    """A host of a better class that still has room at the end had room before."""
    if vm.refused_by == host or len(_rules(end, vm.pk)) > 1:
        return
    mine = rule.hosts.get(host, -(10**9))
    for pk, priority in rule.hosts.items():
        other = end.hosts.get(pk)
        if other and priority > mine and pk != vm.refused_by and _takes(end, other, [vm]):
            yield f"{vm.name} is on a worse host than {other.name}, which has room"


def _has_a_home(end: _End, homeless: set[int]) -> Iterator[str]:
    for pk in sorted(homeless):
        whole = [end.vms[vm] for vm in sorted(_group(end, pk)) if vm == pk or _waits(end, vm)]
        whole.sort(key=lambda vm: vm.pk != pk)
        for host in end.facts.hosts:
            if _takes(end, host, whole):
                yield f"{end.vms[pk].name} has no home, although {host.name} has room"


def _waits(end: _End, pk: int) -> bool:
    vm = end.vms.get(pk)
    return vm is not None and pk not in end.of and vm.ha and vm.wanted_up


def _group(end: _End, pk: int) -> set[int]:
    """Return what must start with a VM; itself alone where one of its mates is placed."""
    mates = _mates(end, pk)
    return {pk} if any(vm in end.of for vm in mates) else mates | {pk}


def _mates(end: _End, pk: int) -> set[int]:
    """Return the other VMs that hard rules tie to one, directly or through others."""
    group, before = {pk}, set[int]()
    while group != before:
        before = set(group)
        for rule in end.facts.rules:
            if rule.hard and rule.kind is RuleKind.TOGETHER and rule.vms & group:
                group |= rule.vms
    return group - {pk}


def _takes(end: _End, host: HostFacts, vms: list[VmFacts]) -> bool:
    """Whether a host certainly could take the first of ``vms``, and room for all."""
    memory, vcpus = end.free(host)
    starting = end.starts.get(host.pk, 0) + end.facts.starts_on.get(host.pk, 0)
    return (
        _is_fit(host)
        and starting < end.facts.policy.start_parallel
        and memory >= sum(vm.memory_mib for vm in vms)
        and vcpus >= sum(vm.vcpus for vm in vms)
        and not any(_lacks(host, vm) for vm in vms)
        and not any(_hard_break(end, host.pk, vm.pk) for vm in vms)
    )


def _hard_break(end: _End, host: int, vm: int) -> bool:
    mates = {mate for mate in _mates(end, vm) if mate in end.of}
    elsewhere = bool(mates) and not any(host in end.of[mate] for mate in mates)
    return elsewhere or any(r.hard and _breaks(end, r, vm, host) for r in _rules(end, vm))


def _is_fit(host: HostFacts) -> bool:
    calm = not host.first_contact and host.slow_since is None and not host.drill_open
    up = host.status is HostStatus.UP and host.wanted is Wanted.ACTIVE
    return up and calm and host.ha not in ("fencing", "fenced", "recovering", "recovered")
