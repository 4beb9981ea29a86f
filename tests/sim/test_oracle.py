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


def test_writes_under_way_count_as_a_writer_and_only_patience_keeps_them_apart() -> None:
    late = {"at": 20, "do": "storage.delay_write", "s": 8}
    dies = {"at": 30, "do": "host.power_off", "host": "node1"}
    hasty = _play(late, dies)
    assert (hasty.splits, hasty.human_splits) == (1, 0)
    assert "I1: split brain of vm1 on node" in hasty.violations[0]
    patient = _play(late, dies, cluster={"policy": {"off_read_gap": 8}})
    assert (patient.splits, patient.violations) == (0, ())


def test_who_confirms_truthfully_waits_for_the_last_write() -> None:
    events: list[dict[str, object]] = [
        {"at": 10, "do": "bmc.fail", "host": "node1"},
        {"at": 20, "do": "storage.delay_write", "s": 30},
        {"at": 30, "do": "host.power_off", "host": "node1"},
        {"at": 45, "do": "admin.confirm_rebooted", "host": "node1"},
    ]
    assert "confirm.asked" not in "\n".join(_play(*events).log)
    later = {"at": 65, "do": "admin.confirm_rebooted", "host": "node1"}
    assert "vm1 on node1: run.proof manual" in "\n".join(_play(*events, later).log)


def test_two_vms_on_one_disk_are_two_writers_by_somebody_elses_doing() -> None:
    vms = [{"name": "vm1", "host": "node1"}, {"name": "vm2", "host": "node2"}]
    event = {"at": 30, "do": "vm.same_disk", "vm": "vm1", "other": "vm2"}
    outcome = _play(event, vms=vms)
    assert (outcome.splits, outcome.human_splits) == (0, 1)
    assert outcome.violations == ()


def test_a_machine_that_slept_is_excused_for_the_proof_of_that_time_only() -> None:
    sleeps = {"at": 30, "do": "host.hibernate", "host": "node1"}
    slept = _play(sleeps)
    assert (slept.splits, slept.human_splits) == (0, 1)
    assert slept.violations == ()
    assert slept.view.vms["vm1"][0] == "quarantined"
    assert slept.where["vm1"].count("node1") == 1, "its old copy is suspended, not ended"


def test_a_removed_vm_is_nobodys_to_notice() -> None:
    outcome = _play(
        {"at": 20, "do": "admin.stop", "vm": "vm1"},
        {"at": 30, "do": "admin.remove_vm", "vm": "vm1"},
        {"at": 40, "do": "libvirt.external_start", "vm": "vm1", "host": "node2"},
        until=120,
    )
    assert outcome.violations == ()
    assert outcome.view.vms["vm1"][0] == "absent"
    assert ("removed_vm_runs", "node2", "vm1") in {alert[:3] for alert in outcome.view.alerts}
