"""What is told beforehand is what happens: hosts die in the simulator, and VMs go where said."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fencing.domain.whatif import WhatIf, what_if
from portal.sim.portal import Start
from portal.sim.pure import PurePortal
from portal.sim.scenario import Cluster, EventSpec, HostSpec, Scenario, VmSpec
from portal.sim.simulation import Outcome, Simulation, build_world
from portal.sim.wire import Wire

DIES_AT = 30.0
NODE = "node1"


@dataclass
class Told:
    """What was told right before the death, and what came of it."""

    answers: list[WhatIf] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    outcome: Outcome | None = None

    def foretold(self) -> dict[str, str | None]:
        """Return the new home of every VM that would start, and None for those that would not."""
        (answer,) = self.answers
        return {
            fate.name: self.names[fate.home] if fate.home is not None else None
            for fate in answer.vms
        }

    def happened(self) -> dict[str, str | None]:
        """Return where each VM of the host began its next run."""
        assert self.outcome is not None
        assert list(self.outcome.violations) == []
        runs = [run for run in self.outcome.view.runs if run.generation == 2]
        homes = {run.vm: run.host for run in runs}
        return {name: homes.get(name) for name in self.foretold()}


def die(scenario: Scenario) -> Told:
    """Run a scenario in the pure depth, asking what would be just before the first event."""
    world = build_world(scenario)
    homes = {vm.name: vm.host for vm in scenario.vms if vm.host}
    wire = Wire(world, None)
    portal = PurePortal(wire, Start(scenario.cluster.policy, scenario.cluster.armed, homes), None)
    told = Told(names={pk: name for name, pk in world.host_pks.items()})

    def ask() -> None:
        facts = portal.book.facts()
        host = next(item for item in facts.hosts if item.name == NODE)
        told.answers.append(what_if(facts, host, portal.book.now()))

    simulation = Simulation(scenario, world, wire, portal)
    world.line.at(round(DIES_AT * 1000) - 1, ask)
    told.outcome = simulation.run(converge=False)
    return told


def scenario(
    memory: list[int], vms: list[VmSpec], how: str = "host.panic", **policy: object
) -> Scenario:
    hosts = tuple(HostSpec(f"node{n}", size) for n, size in enumerate(memory, 1))
    events = (EventSpec(DIES_AT, how, {"host": NODE}),)
    # It stays off: VMs without a home would return to it.
    usual = {"blocked_wait": 5, "after_fence": "stay_off"}
    return Scenario("what if", hosts, tuple(vms), events, 90, Cluster(usual | policy))


@pytest.mark.parametrize("how", ["host.panic", "host.power_off"])
def test_a_host_dies_and_each_vm_goes_where_it_was_foretold(how: str) -> None:
    vms = [
        VmSpec("db1", NODE, 4000, priority=90),
        VmSpec("web1", NODE, 3000),
        VmSpec("web2", NODE, 3000),
        VmSpec("big1", NODE, 9000, priority=10),
        VmSpec("other", "node2", 2000),
    ]
    told = die(scenario([32000, 8000, 7000], vms, how))
    assert told.foretold() == {"db1": "node3", "web1": "node2", "web2": "node3", "big1": None}
    assert told.happened() == told.foretold()


@st.composite
def deaths(draw: st.DrawFn) -> Scenario:
    sizes = st.sampled_from([500, 1000, 2500, 4000, 7000])
    count = draw(st.integers(3, 6))
    vms = [
        VmSpec(
            f"vm{n}", NODE, draw(sizes), vcpus=draw(st.sampled_from([1, 4])),
            priority=draw(st.sampled_from([20, 50, 80])), ha=draw(st.integers(0, 4)) > 0,
        )
        for n in range(count)
    ]  # fmt: skip
    vms += [VmSpec("there2", "node2", draw(sizes)), VmSpec("there3", "node3", draw(sizes))]
    room = st.sampled_from([6500, 9000])
    return scenario([64000, draw(room), draw(room)], vms, start_parallel=8)


@given(deaths())
@settings(max_examples=40)
def test_in_any_cluster_the_homes_are_those_that_the_plan_then_chooses(death: Scenario) -> None:
    told = die(death)
    if told.answers[0].handling == "held":  # nobody would gain: the host is left alone
        assert told.happened() == dict.fromkeys(told.foretold())
        assert [item.guard for item in told.answers[0].held_by] == ["nobody_gains"]
        return
    assert told.answers[0].handling == "fenced"
    assert told.happened() == told.foretold()


def test_a_host_in_a_cluster_that_observes_is_left_alone_as_foretold() -> None:
    calm = scenario([32000, 8000], [VmSpec("db1", NODE)])
    told = die(Scenario("o", calm.hosts, calm.vms, calm.events, 60, Cluster(armed=False)))
    assert told.answers[0].handling == "held"
    assert told.happened() == {"db1": None}


def test_the_time_that_is_told_is_never_too_short_and_not_far_off() -> None:
    told = die(scenario([32000, 8000, 8000], [VmSpec("db1", NODE)]))
    assert told.outcome is not None
    began = next(run.began_ms for run in told.outcome.view.runs if run.generation == 2)
    after = told.answers[0].vms[0].after_s
    assert after is not None
    assert 0 <= after - (began / 1000 - DIES_AT) <= 6
