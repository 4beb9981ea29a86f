"""VMs that one host alone can run, and VMs that shall go home to a better host.

Nothing is moved here: a VM that runs is told of, and a person or a later migration acts.
"""

from collections.abc import Iterator

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts
from fencing.domain.homes import floor, machines, need
from fencing.domain.intentions import Intention, Raise, over
from vms.domain.affinity import Rule, RuleKind
from vms.domain.floor import RuleBook
from vms.domain.placement import Need, Room, incapable
from vms.domain.restart import VmFacts

_FEW = 2


def tied(cluster: ClusterFacts) -> Iterator[Intention]:
    """Return the alerts about HA VMs that have no second host, or not their best one."""
    yield from _bound_to_one(cluster)
    yield from _away(cluster)


def _bound_to_one(cluster: ClusterFacts) -> Iterator[Intention]:
    kind, book, known = AlertKind.ONE_HOST_ONLY, RuleBook(cluster.rules), dict[object, str]()
    able: list[Room] | None = None
    open_now = {vm for its, _, vm in cluster.alerts if its == kind}
    for vm in cluster.vms:
        named = _named(book.of(vm.pk)) if vm.pk in book else None
        asks = vm.ha and (vm.cpu or vm.networks or vm.storage or named is not None)
        why = ""
        if asks:
            key = (vm.cpu, vm.networks, vm.storage, named)
            able = machines(cluster) if able is None else able
            why = known[key] if key in known else _few(able, need(vm), named)
            known[key] = why
        if why and vm.pk not in open_now:  # told once: there may be as many as there are VMs
            yield Raise(kind, 0, vm.pk, why)
        elif vm.pk in open_now and not why:
            yield from over(cluster.alerts, 0, vm.pk, kind)


def _named(rules: list[Rule]) -> frozenset[int] | None:
    """Return the hosts that hard rules leave; None where they leave all."""
    lists = [frozenset(r.hosts) for r in rules if r.hard and r.kind is RuleKind.HOSTS]
    return frozenset.intersection(*lists) if lists else None


def _few(offered: list[Room], its: Need, named: frozenset[int] | None) -> str:
    """Return why less than two machines could ever run it, or the empty text."""
    lacking = {
        room.name: incapable(room, its)
        or ("" if named is None or room.host in named else "its rule of hosts does not name it")
        for room in offered
    }
    able = sorted(name for name, why in lacking.items() if not why)
    if len(offered) < _FEW or len(able) >= _FEW:
        return ""
    others = "; ".join(f"{name}: {why}" for name, why in sorted(lacking.items()) if why)
    one = able[0] if able else "no host"
    return f"HA cannot restart it elsewhere: only {one} can run it; {others}"


def _away(cluster: ClusterFacts) -> Iterator[Intention]:
    kind = AlertKind.AWAY_FROM_HOME
    open_now = {vm for its, _, vm in cluster.alerts if its == kind}
    away = better_homes(cluster)
    for vm, home in away.items():
        found = cluster.host(home)
        name = found.name if found is not None else "another host"
        yield Raise(kind, 0, vm, f"{name} is a better host for it and has room: it goes home")
    for pk in sorted(open_now - away.keys()):
        yield from over(cluster.alerts, 0, pk, kind)


def better_homes(cluster: ClusterFacts) -> dict[int, int]:
    """Return, by VM that shall go home, the host of a better class that has room for it."""
    book = RuleBook(rule for rule in cluster.rules if rule.kind is RuleKind.HOSTS)
    wishing = [vm for vm in cluster.vms if vm.failback and vm.run and vm.pk in book]
    free = floor(cluster) if wishing else None
    found = {vm.pk: _home(free.choices(need(vm)), vm, book) for vm in wishing if free}
    return {vm: home for vm, home in found.items() if home is not None}


def _home(fits: list[Room], vm: VmFacts, book: RuleBook) -> int | None:
    """Return which host of a better class has room for a VM that runs, if there is one."""
    if vm.run is None or len(vm.run.holders) > 1:
        return None

    def rank(host: int) -> list[tuple[bool, int]]:
        return [(host not in rule.hosts, -rule.hosts.get(host, 0)) for rule in book.of(vm.pk)]

    found = [room for room in fits if rank(room.host) < rank(vm.run.host)]
    home = min(found, key=lambda room: (rank(room.host), room.name), default=None)
    return None if home is None else home.host
