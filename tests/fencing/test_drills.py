"""Fire drills: the power of a host in maintenance is really cut, and really comes back."""

import pytest

from fencing import operations
from fencing.domain.power import PowerState
from fencing.models import FenceOperation, Incident
from hosts.models import Cluster
from hosts.services import engines
from portal.core.models import OperationState
from tests.fencing.fencing_steps import NODE, again, ask_drill, drilled, rest
from tests.vms.moments import killed_at
from tests.vms.world import World


def test_a_drill_cuts_the_power_and_passes_when_the_host_is_back(both: World) -> None:
    rest(both)
    marker = both.host(NODE).boot_marker
    op = drilled(both, ask_drill(both))
    assert op.state == OperationState.DONE, op.error_text
    assert both.called("turn_off") == [NODE]
    assert both.called("turn_on") == [NODE]
    assert both.host(NODE).boot_marker not in ("", marker)
    result = op.data["result"]
    assert result["passed"]
    assert [step["name"] for step in result["steps"]] == [
        "identified",
        "off accepted",
        "read back off",
        "on accepted",
        "answered again",
        "says on again",
    ]
    assert result["seconds"] == pytest.approx(
        sum(step["seconds"] for step in result["steps"]), abs=0.3
    )
    assert result["steps"][2]["seconds"] >= 2  # two readings, off_read_gap apart
    assert both.host(NODE).status == "maintenance"
    assert both.ha(NODE) == "ineligible"
    assert not Incident.objects.exists()
    (told,) = both.events("drill.passed")
    assert told.actor == "ann"
    assert told.evidence["passed"] is True
    both.whole()


def test_the_other_hosts_and_their_vms_notice_nothing(world: World) -> None:
    vm = world.started("web1")
    spare = next(name for name in world.hosts if name not in world.copies(vm))
    rest(world, spare)
    before = {name: world.ha(name) for name in world.hosts}
    assert drilled(world, ask_drill(world, spare)).state == "done"
    assert {name: world.ha(name) for name in world.hosts} == before
    assert world.runs(vm) == [(1, world.copies(vm)[0], "open")]


def test_a_bmc_that_ignores_off_fails_the_drill_and_the_host_is_left_on(world: World) -> None:
    rest(world)
    world.bmcs[NODE].obeys = False
    op = drilled(world, ask_drill(world))
    assert (op.state, op.error_code) == ("failed", "timed_out")
    assert op.error_cure
    assert world.hosts[NODE].powered
    assert world.called("turn_on") == [NODE]
    assert op.data["result"]["passed"] is False
    assert world.events("drill.failed")


def test_a_bmc_that_lies_about_off_fails_the_drill_and_is_distrusted(world: World) -> None:
    rest(world)
    op = ask_drill(world)
    world.until(lambda: again(op).step == "off", 10)
    world.bmcs[NODE].obeys = False
    world.bmcs[NODE].lie = PowerState.OFF
    op = drilled(world, op)
    assert (op.state, op.error_code) == ("failed", "contradiction")
    assert not world.bmc(NODE).trusted


def test_a_host_that_was_only_cut_off_and_never_off_fails_the_drill(world: World) -> None:
    """Silent while its BMC lies: its old boot marker tells."""
    rest(world)
    op = ask_drill(world)
    world.until(lambda: again(op).step == "off", 10)
    world.bmcs[NODE].obeys = False
    world.bmcs[NODE].lie = PowerState.OFF
    world.hosts[NODE].isolated = True
    world.until(lambda: again(op).step == "boot", 30)
    world.hosts[NODE].isolated = False
    op = drilled(world, op)
    assert (op.state, op.error_code) == ("failed", "contradiction")
    assert "never off" in op.error_text
    assert not world.bmc(NODE).trusted


def test_a_host_that_does_not_come_back_fails_the_drill_after_boot_wait(world: World) -> None:
    Cluster.objects.update(policy={"boot_wait": 60})
    rest(world)
    op = ask_drill(world)
    world.until(lambda: again(op).step == "on", 30)
    world.hosts[NODE].isolated = True
    begun = world.clock.time
    op = drilled(world, op)
    assert (op.state, op.error_code) == ("failed", "no_boot")
    assert "console" in op.error_cure
    assert 59 <= (world.clock.time - begun).total_seconds() <= 65


def test_a_bmc_that_goes_deaf_after_off_leaves_the_host_off_and_says_so(world: World) -> None:
    rest(world)
    op = ask_drill(world)
    world.until(lambda: again(op).step == "read", 30)
    world.bmcs[NODE].reachable = False
    op = drilled(world, op)
    assert (op.state, op.error_code) == ("failed", "no_power")
    assert "by hand" in op.error_cure


def test_a_bmc_that_is_deaf_for_a_moment_after_off_does_not_fail_the_drill(world: World) -> None:
    rest(world)
    op = ask_drill(world)
    world.until(lambda: again(op).step == "read", 30)
    world.bmcs[NODE].reachable = False
    world.run(8)
    world.bmcs[NODE].reachable = True
    assert drilled(world, op).state == "done"


def test_an_old_engine_sends_no_command_of_a_drill(world: World) -> None:
    rest(world)
    op = ask_drill(world)
    world.until(lambda: again(op).step == "off", 10)

    def usurped(kind: str, where: str) -> None:
        if kind == "read":
            engines.join("engine1", world.clock.time)

    world.before.append(usurped)
    world.clock.forward(30)  # identified too long ago: asked again, and taken over meanwhile
    world.work()
    world.before.clear()
    assert world.called("turn_off") == []


def _answers(world: World) -> bool:
    last_seen = world.host(NODE).last_seen
    return last_seen is not None and world.clock.since(last_seen) < 3


def test_a_drill_killed_at_any_moment_ends_with_the_host_on(world: World) -> None:
    number, killed = 0, True
    while killed:
        number += 13
        rest(world)
        world.until(lambda: _answers(world), 20)
        op = ask_drill(world)

        def work(op: FenceOperation = op) -> None:
            for _ in range(12):
                world.clock.time = max(world.clock.time, again(op).due_at)
                operations.advance(op.pk)
                world.look(NODE)

        killed = killed_at(world, number, work)
        world.clock.forward(12)
        op = drilled(world, op, 1000)
        assert op.state in ("done", "cancelled", "failed"), op.steps
        assert world.hosts[NODE].powered, op.steps
    assert number > 20, "the moments were not found"
    world.whole()
