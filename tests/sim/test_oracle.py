"""The oracle sees what must never happen, and excuses only what people and liars did."""

from portal.sim.scenario import parse
from portal.sim.simulation import Outcome, build_world, simulate
from portal.sim.world import World

HOSTS = [{"name": "node1"}, {"name": "node2"}, {"name": "node3"}]


def _play(*events: dict[str, object], until: int = 90, **more: object) -> Outcome:
    raw = {
        "hosts": HOSTS,
        "vms": [{"name": "vm1", "host": "node1"}],
        "events": list(events),
        "until": until,
        **more,
    }
    return simulate(parse("x", raw), "pure")


def test_a_copy_that_a_stranger_starts_is_a_human_split_and_quarantined() -> None:
    outcome = _play({"at": 30, "do": "libvirt.external_start", "vm": "vm1", "host": "node2"})
    assert outcome.violations == ()
    assert (outcome.splits, outcome.human_splits) == (0, 1)
    assert outcome.view.vms["vm1"][0] == "quarantined"


def test_a_wrong_confirmation_is_a_human_split() -> None:
    outcome = _play(
        {"at": 20, "do": "bmc.fail", "host": "node1"},
        {"at": 30, "do": "host.isolate", "host": "node1"},
        {"at": 60, "do": "admin.confirm_rebooted", "host": "node1", "truthful": False},
    )
    assert outcome.violations == ()
    assert (outcome.splits, outcome.human_splits) == (0, 1)


def test_who_looks_first_confirms_nothing_about_a_host_that_runs() -> None:
    outcome = _play(
        {"at": 20, "do": "bmc.fail", "host": "node1"},
        {"at": 30, "do": "host.isolate", "host": "node1"},
        {"at": 60, "do": "admin.confirm_rebooted", "host": "node1", "truthful": True},
    )
    assert outcome.where["vm1"] == ["node1"]
    assert all(run.proof is None for run in outcome.view.runs)


def test_a_bmc_that_hides_its_identity_and_lies_proves_nothing() -> None:
    outcome = _play(
        {"at": 30, "do": "bmc.lie", "host": "node1", "answer": "off", "identified": False},
        {"at": 30, "do": "host.isolate", "host": "node1"},
    )
    assert outcome.violations == ()
    assert (outcome.splits, outcome.human_splits) == (0, 0)
    assert outcome.where["vm1"] == ["node1"]


def test_an_engine_that_dies_and_comes_back_loses_no_failover() -> None:
    for after in range(12):
        outcome = _play(
            {"at": 30, "do": "host.power_off", "host": "node1"},
            {"at": 30.2, "do": "engine.crash", "after": after},
            {"at": 36, "do": "engine.start"},
        )
        assert outcome.violations == ()
        assert outcome.where["vm1"] not in ([], ["node1"]), after


def test_an_engine_that_is_named_dies_at_once_and_is_back_after_its_time() -> None:
    outcome = _play(
        {"at": 30, "do": "host.power_off", "host": "node1"},
        {"at": 30.5, "do": "engine.crash", "engine": "engine1", "s": 6},
    )
    assert outcome.deaths == (30_500,)
    assert outcome.where["vm1"] not in ([], ["node1"])


def test_two_writers_are_counted_where_the_world_has_them() -> None:

    world: World = build_world(
        parse("x", {"hosts": HOSTS, "vms": [{"name": "vm1", "host": "node1"}]})
    )
    world.start_outside("vm1", "node2")
    assert world.where("vm1") == ["node1", "node2"]
    world.cut("node1")
    assert world.where("vm1") == ["node2"]
