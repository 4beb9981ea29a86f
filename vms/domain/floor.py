"""All rooms of a cluster in one pass: who goes where, by filters, rules and preferences.

Deterministic: the same facts give the same homes, in whatever order they are told.
Hosts are kept in the order of preference, so that a VM without rules mostly asks one.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Set

from vms.domain.affinity import Rule, RuleKind, groups
from vms.domain.placement import Choice, Need, Room, incapable, preference, refusal, take


class RuleBook:
    """Affinity rules by VM, and which VMs hard rules tie together."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = sorted(rules, key=lambda rule: (rule.name, rule.pk))
        self.group = groups(self.rules)
        self._of: dict[int, list[Rule]] = {}
        for rule in self.rules:
            for vm in rule.vms:
                self._of.setdefault(vm, []).append(rule)

    def of(self, vm: int) -> list[Rule]:
        """Return the rules about one VM, by name."""
        return self._of.get(vm, [])

    def __contains__(self, vm: int) -> bool:
        return vm in self._of


class Floor:
    """What is free, and who is where, while VMs are placed one after the other."""

    def __init__(
        self,
        rooms: Iterable[Room],
        book: RuleBook,
        start_parallel: int,
        there: Mapping[int, tuple[str, Set[int]]],
    ) -> None:
        """``there``: by VM of a rule, its name and the hosts that may hold it now."""
        self._rooms = {room.host: room for room in rooms}
        self._book, self._parallel = book, start_parallel
        self._there = {vm: (name, frozenset(hosts)) for vm, (name, hosts) in there.items()}
        self._waiting: dict[int, Need] = {}
        fit = (room for room in self._rooms.values() if not room.unfit)
        self._order = sorted((preference(room), room.host) for room in fit)

    def without(self, lost: Set[int]) -> "Floor":
        """Return a floor of its own without the hosts ``lost`` and what only they hold."""
        left = Floor((), self._book, self._parallel, {})
        left._rooms = {host: room for host, room in self._rooms.items() if host not in lost}
        left._order = [item for item in self._order if item[1] not in lost]
        left._there = {
            vm: (name, hosts - lost) for vm, (name, hosts) in self._there.items() if hosts - lost
        }
        return left

    def expect(self, needs: Iterable[Need]) -> None:
        """Tell who else is to be placed: a group that belongs together needs room for all."""
        self._waiting = {need.vm: need for need in needs if need.vm in self._book.group}

    def room(self, host: int) -> Room | None:
        """Return what a host offers now."""
        return self._rooms.get(host)

    def choose(self, need: Need) -> Choice:
        """Return the best home for ``need``, or why each host is none."""
        home = self.find(need)
        if home is not None:
            return Choice(home, {})
        refusals = {room.name: self.refusal(room, need) for room in self._rooms.values()}
        return Choice(None, refusals)

    def find(self, need: Need) -> int | None:
        """Return the best home for ``need``, or None, without the reasons."""
        return self._ruled(need) if need.vm in self._book else self._first(need)

    def take(self, host: int, need: Need) -> None:
        """Place ``need`` on ``host`` for the rest of this pass."""
        room = self._rooms[host]
        at = bisect_left(self._order, (preference(room), host))
        if at < len(self._order) and self._order[at][1] == host:
            del self._order[at]
        self._rooms[host] = room = take(room, need)
        insort(self._order, (preference(room), host))
        if need.vm in self._book:
            self._there[need.vm] = (need.name, frozenset({host}))
            self._waiting.pop(need.vm, None)

    def refusal(self, room: Room, need: Need) -> str:
        """Return the first filter or hard rule that keeps ``need`` off ``room``, or nothing."""
        return refusal(room, need, self._parallel) or self._forbidden(room, need)

    # Without rules

    def _first(self, need: Need) -> int | None:
        last_resort = None
        for _, host in self._order:
            room = self._rooms[host]
            if room.memory_mib < need.memory_mib:
                break  # those further down have less
            if refusal(room, need, self._parallel):
                continue
            if host not in need.avoid:
                return host
            last_resort = host if last_resort is None else last_resort
        return last_resort

    # With rules

    def choices(self, need: Need) -> list[Room]:
        """Return every room that no filter and no hard rule keeps ``need`` off."""
        fit = (self._rooms[host] for _, host in self._order)
        return [room for room in fit if not self.refusal(room, need)]

    def best(self, need: Need, among: Iterable[int]) -> int | None:
        """Return the best home of some hosts that are all fit for it, or None without any."""
        rooms = [self._rooms[host] for host in among]
        return min(
            (room.host for room in rooms),
            key=lambda host: self._leaning(self._rooms[host], need),
            default=None,
        )

    def _ruled(self, need: Need) -> int | None:
        def key(room: Room) -> tuple[object, ...]:
            return (room.host in need.avoid, *self._leaning(room, need))

        best = min(self.choices(need), key=key, default=None)
        return None if best is None else best.host

    def _leaning(self, room: Room, need: Need) -> tuple[object, ...]:
        """Sort key: the best class of hosts, then the fewest soft rules left unkept."""
        rules = self._book.of(need.vm)
        classes = [
            (room.host not in rule.hosts, -rule.hosts.get(room.host, 0))
            for rule in rules
            if rule.kind is RuleKind.HOSTS
        ]
        unkept = sum(bool(self._broken(rule, room, need)) for rule in rules if not rule.hard)
        return (classes, unkept, preference(room))

    def _forbidden(self, room: Room, need: Need) -> str:
        """Return which hard rule keeps ``need`` off ``room``, or the empty text."""
        if need.vm not in self._book:
            return ""
        why = self._group_elsewhere(room, need)
        for rule in self._book.of(need.vm):
            if why:
                break
            if rule.hard and rule.kind is not RuleKind.TOGETHER:
                why = self._broken(rule, room, need)
        return why or self._group_has_no_room(room, need)

    def _broken(self, rule: Rule, room: Room, need: Need) -> str:
        """Return how ``rule`` would be broken by ``need`` on ``room``, or the empty text."""
        if rule.kind is RuleKind.HOSTS:
            return "" if room.host in rule.hosts else f"{rule.name} does not name it"
        mates = [self._there[vm] for vm in sorted(rule.vms - {need.vm}) if vm in self._there]
        here = [name for name, hosts in mates if room.host in hosts]
        if rule.kind is RuleKind.SEPARATE:
            return f"{rule.name} keeps it apart from {', '.join(sorted(here))}" if here else ""
        if here or not mates:
            return ""
        names = ", ".join(sorted(name for name, _ in mates))
        return f"{rule.name} wants it together with {names}, which is elsewhere"

    def _group_elsewhere(self, room: Room, need: Need) -> str:
        """What hard rules tie together runs where the first of it runs."""
        mates = self._book.group.get(need.vm, frozenset()) - {need.vm}
        placed = [self._there[vm] for vm in sorted(mates) if vm in self._there]
        if not placed or any(room.host in hosts for _, hosts in placed):
            return ""
        names = ", ".join(sorted(name for name, _ in placed))
        return f"{self._ties(need.vm)} wants it together with {names}, which is elsewhere"

    def _group_has_no_room(self, room: Room, need: Need) -> str:
        """The first of a group needs a host on which the others fit as well."""
        group = self._book.group.get(need.vm, frozenset())
        if any(vm in self._there for vm in group):
            return ""
        mates = sorted((group - {need.vm}) & self._waiting.keys())
        whole = [need, *(self._waiting[vm] for vm in mates)]
        memory, vcpus = sum(one.memory_mib for one in whole), sum(one.vcpus for one in whole)
        ties = self._ties(need.vm)
        if room.memory_mib < memory:
            return f"{room.memory_mib} MiB free, {memory} needed for all that {ties} ties together"
        if room.vcpus < vcpus:
            return f"{room.vcpus} vcpus free, {vcpus} needed for all that {ties} ties together"
        for mate in whole[1:]:
            why = incapable(room, mate) or self._barred(room, mate)
            if why:
                return f"{mate.name}, which {ties} ties to it, cannot run there: {why}"
        return ""

    def _barred(self, room: Room, need: Need) -> str:
        rules = self._book.of(need.vm)
        apart = (rule for rule in rules if rule.hard and rule.kind is not RuleKind.TOGETHER)
        return next(filter(None, (self._broken(rule, room, need) for rule in apart)), "")

    def _ties(self, vm: int) -> str:
        return " and ".join(self._tying(vm))

    def _tying(self, vm: int) -> Iterator[str]:
        for rule in self._book.of(vm):
            if rule.kind is RuleKind.TOGETHER and rule.hard:
                yield rule.name
