"""Shrinking keeps what matters and drops the rest."""

from dataclasses import replace

import pytest
import yaml

from portal.sim.scenario import EventSpec, Scenario, parse
from portal.sim.schedules import schedule
from portal.sim.shrink import as_yaml, shrink


def _long() -> Scenario:
    scenario = schedule(3, hosts=3, vms=4)
    noise = tuple(EventSpec(float(at), "task.duplicate") for at in range(5, 25))
    needed = EventSpec(20, "host.panic", {"host": "node2"})
    return replace(scenario, events=(*noise, needed))


def test_only_the_event_that_matters_is_left() -> None:
    small = shrink(_long(), lambda item: any(event.do == "host.panic" for event in item.events))
    assert [event.do for event in small.events] == ["host.panic"]
    assert len(small.vms) == 1
    assert small.until < _long().until


def test_what_does_not_fail_smaller_stays_whole() -> None:
    whole = _long()
    assert shrink(whole, lambda item: item == whole) == whole


@pytest.mark.parametrize("seed", range(30))
def test_a_shrunk_schedule_is_printed_as_a_scenario_that_can_be_read_again(seed: int) -> None:
    scenario = schedule(seed)
    again = parse(scenario.name, yaml.safe_load(as_yaml(scenario)))
    assert again == scenario
