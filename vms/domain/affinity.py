"""Which VMs belong together or apart, which hosts they belong to, and rules that contradict.

Hard rules are never broken: a VM waits instead.  Soft ones are a preference.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations


class RuleKind(StrEnum):
    """What a rule asks of its VMs."""

    SEPARATE = "separate"  # no two on one host
    TOGETHER = "together"  # all on one host
    HOSTS = "hosts"  # on these hosts, the highest priority first


@dataclass(frozen=True, slots=True)
class Rule:
    """One affinity rule; ``hosts`` maps hosts to priorities, the higher the better."""

    pk: int
    name: str
    kind: RuleKind
    hard: bool
    vms: frozenset[int]
    hosts: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Rules that cannot all be kept: which, why, and what to do."""

    rules: tuple[str, ...]
    text: str
    cure: str

    def __str__(self) -> str:
        return self.text


def contradictions(
    rules: Iterable[Rule], names: Mapping[int, str], memory: Mapping[int, int], largest_mib: int
) -> Iterator[Contradiction]:
    """Yield what is wrong with ``rules`` taken together.

    ``names`` and ``memory`` (MiB) are by VM; ``largest_mib`` is what the largest host has,
    0 where it is not known.
    """
    known = sorted(rules, key=lambda rule: rule.name)
    for rule in known:
        yield from _alone(rule, memory, largest_mib)
    for one, other in combinations(known, 2):
        both = sorted(names.get(vm, f"VM {vm}") for vm in one.vms & other.vms)
        if both:
            yield from _pair(one, other, both)
    yield from _tied(known)


def _alone(rule: Rule, memory: Mapping[int, int], largest_mib: int) -> Iterator[Contradiction]:
    if rule.kind is RuleKind.HOSTS:
        if not rule.hosts or not rule.vms:
            text = f"{rule.name} needs at least one VM and one host"
            yield Contradiction((rule.name,), text, "Name them, or remove the rule.")
        return
    if rule.hosts:
        text = f"{rule.name} names hosts, which only a rule of the kind hosts takes"
        yield Contradiction((rule.name,), text, "Leave the hosts out.")
    if len(rule.vms) < 2:
        text = f"{rule.name} needs at least two VMs"
        yield Contradiction((rule.name,), text, "Name another VM, or remove the rule.")
    whole = sum(memory.get(vm, 0) for vm in rule.vms)
    if rule.kind is RuleKind.TOGETHER and rule.hard and 0 < largest_mib < whole:
        text = f"{rule.name} needs {whole} MiB on one host, the largest has {largest_mib} MiB"
        yield Contradiction((rule.name,), text, "Take VMs out of it, or make it soft.")


def _pair(one: Rule, other: Rule, both: list[str]) -> Iterator[Contradiction]:
    who = f"{one.name} and {other.name}"
    if one.kind is RuleKind.HOSTS and other.kind is RuleKind.HOSTS:
        text = f"{who} both say on which hosts {', '.join(both)} shall run"
        yield Contradiction((one.name, other.name), text, "Keep one rule of hosts for each VM.")
    if {one.kind, other.kind} == {RuleKind.SEPARATE, RuleKind.TOGETHER} and len(both) > 1:
        text = f"{who} contradict each other about {', '.join(both)}: together and separate"
        yield Contradiction((one.name, other.name), text, "Take one of them out of one rule.")


def _tied(rules: list[Rule]) -> Iterator[Contradiction]:
    """Hard groups that share a VM are one group: it must not be torn apart."""
    for rules_of, group in _groups(rules):
        names = {rule.name for rule in rules_of}
        for apart in rules:
            hard_apart = apart.kind is RuleKind.SEPARATE and apart.hard
            if hard_apart and len(rules_of) > 1 and len(apart.vms & group) > 1:
                told = (*sorted(names), apart.name)
                text = f"{' and '.join(told)} contradict each other through the VMs they share"
                yield Contradiction(told, text, "Take a VM out of one of them.")
        homes = [rule for rule in rules if _binds(rule, group)]
        if homes and not frozenset.intersection(*(frozenset(rule.hosts) for rule in homes)):
            told = (*sorted(names), *(rule.name for rule in homes))
            text = f"{' and '.join(told)} leave no host on which the VMs could be together"
            yield Contradiction(told, text, "Give the rules of hosts a host in common.")


def _binds(rule: Rule, group: frozenset[int]) -> bool:
    return rule.kind is RuleKind.HOSTS and rule.hard and bool(rule.vms & group)


def _groups(rules: list[Rule]) -> list[tuple[list[Rule], frozenset[int]]]:
    """Return the hard groups of VMs that must be together, by which rules."""
    found: list[tuple[list[Rule], frozenset[int]]] = []
    for rule in rules:
        if rule.kind is not RuleKind.TOGETHER or not rule.hard:
            continue
        touching = [group for group in found if group[1] & rule.vms]
        found = [group for group in found if not group[1] & rule.vms]
        of = [item for group in touching for item in group[0]]
        found.append(([*of, rule], rule.vms.union(*(group[1] for group in touching))))
    return found


def groups(rules: Iterable[Rule]) -> dict[int, frozenset[int]]:
    """Return, by VM, those that hard rules want on one host with it, itself among them."""
    return {vm: group for _, group in _groups(list(rules)) for vm in group}
