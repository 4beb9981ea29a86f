"""From a schedule that breaks an invariant to the smallest one that still does."""

import math
from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from typing import Any

import yaml

from portal.sim.scenario import ONE_ENGINE, Scenario
from portal.sim.simulation import without

#: Simulations that shrinking may cost.
BUDGET = 200


def shrink(scenario: Scenario, fails: Callable[[Scenario], bool]) -> Scenario:
    """Drop events, then VMs and hosts, then time, for as long as ``fails`` still holds."""
    left = BUDGET

    def still(candidate: Scenario) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(candidate)

    best, again = scenario, True
    while again and left > 0:
        again = False
        for candidate in [*_fewer(best)]:
            if still(candidate):
                best, again = candidate, True
                break
    return _shorter(best, still)


def _fewer(scenario: Scenario) -> list[Scenario]:
    """Return every scenario that lacks one event or one VM."""
    candidates = [without(scenario, index) for index in range(len(scenario.events))]
    spare = scenario.vms if len(scenario.vms) > 1 else ()
    candidates.extend(
        _lacking(scenario, vm.name)
        for vm in spare
        if all(event.args.get("vm") != vm.name for event in scenario.events)
    )
    return candidates


def _lacking(scenario: Scenario, vm: str) -> Scenario:
    """Return the scenario without a VM, and without whatever names it."""
    rest = tuple(
        replace(item, starts_after=tuple(name for name in item.starts_after if name != vm))
        for item in scenario.vms
        if item.name != vm
    )
    rules = tuple(rule for rule in scenario.affinity if vm not in rule.vms)
    return replace(scenario, vms=rest, affinity=rules)


def _shorter(scenario: Scenario, still: Callable[[Scenario], bool]) -> Scenario:
    last = max((event.at for event in scenario.events), default=0)
    for until in (last + 15, last + 40, last + 90):
        candidate = replace(scenario, until=until)
        if until < scenario.until and still(candidate):
            return candidate
    return scenario


def as_yaml(scenario: Scenario) -> str:
    """Return the schedule as a scenario.yaml without expectations, which reads as the same."""
    parts = {
        "cluster": [scenario.cluster],
        "hosts": scenario.hosts,
        "vms": scenario.vms,
        "affinity": scenario.affinity,
    }
    text = ""
    for name, items in parts.items():
        lines = [_line(_not_default(item)) for item in items]
        if name == "cluster":
            text += f"cluster: {lines[0]}\n" if lines[0] != "{}" else ""
        elif lines:
            text += f"{name}:\n" + "".join(f"  - {line}\n" for line in lines)
    if scenario.engines != ONE_ENGINE:
        text = f"engines: [{', '.join(scenario.engines)}]\n{text}"
    events = "".join(f"  - {event}\n" for event in scenario.events)
    return f"{text}events:\n{events}until: {scenario.until:g}\n"


def _not_default(item: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that differ from what a scenario would have anyhow."""
    told: dict[str, Any] = {}
    for one in fields(item):
        value = getattr(item, one.name)
        usual = one.default_factory() if one.default_factory is not MISSING else one.default
        if value != usual:
            told[one.name] = list(value) if isinstance(value, tuple) else value
    return told


def _line(said: dict[str, Any]) -> str:
    text = yaml.safe_dump(said, default_flow_style=True, sort_keys=False, width=math.inf)
    return text.strip()
