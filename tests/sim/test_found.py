"""What the simulator has found, made small; a mark names what is not mended yet."""

from portal.sim.scenario import parse
from portal.sim.simulation import Outcome, simulate

THREE = [{"name": f"node{number}"} for number in (1, 2, 3)]


def _play(vms: list[dict[str, str]], *events: dict[str, object], until: int) -> Outcome:
    raw = {"hosts": THREE, "vms": vms, "events": list(events), "until": until}
    return simulate(parse("x", raw), "pure", converge=True)


def test_a_fence_that_waits_for_its_bmc_ends_when_nobody_gains_by_it_any_more() -> None:
    outcome = _play(
        [{"name": "vm1", "host": "node1"}],
        {"at": 30, "do": "host.panic", "host": "node1"},
        {"at": 38.65, "do": "bmc.fail", "host": "node1"},
        {"at": 60, "do": "admin.stop", "vm": "vm1"},
        {"at": 80, "do": "bmc.repair", "host": "node1"},
        until=140,
    )
    assert "node1: fence.failed" in "\n".join(outcome.log)
    assert "off accepted by the BMC" not in "\n".join(outcome.log)


def test_a_host_whose_proof_was_disproved_can_be_fenced_once_its_controller_is_tested_anew() -> (
    None
):
    outcome = _play(
        [{"name": "vm1", "host": "node2"}, {"name": "vm2", "host": "node3"}],
        {"at": 20, "do": "bmc.lie", "host": "node1", "answer": "off", "identified": False},
        {"at": 30, "do": "host.isolate", "host": "node1"},
        {"at": 60, "do": "admin.confirm_rebooted", "host": "node1"},
        {"at": 62, "do": "host.rejoin", "host": "node1"},
        {"at": 75, "do": "vm.crash", "vm": "vm1"},
        {"at": 85, "do": "host.panic", "host": "node1"},
        until=110,
    )
    assert outcome.view.alerts
    assert outcome.violations == ()


def test_a_vm_out_of_sight_that_waits_for_a_silent_host_has_an_alert_of_its_own() -> None:
    """The silent host is empty, so it is not fenced; the VM's end is not proven without it."""
    outcome = _play(
        [{"name": "vm1", "host": "node2"}],
        {"at": 7, "do": "host.isolate", "host": "node1"},
        {"at": 7.5, "do": "host.libvirtd_restart", "host": "node2", "forget": True},
        until=97,
    )
    assert outcome.where["vm1"] != []  # after all repairs
    assert "vm1" in {vm for _, _, vm, _ in outcome.view.alerts}


def test_a_vm_out_of_sight_does_not_wait_for_a_host_that_was_proven_off_and_never_boots() -> None:
    outcome = _play(
        [{"name": "vm1", "host": "node2"}, {"name": "vm2", "host": "node1"}],
        {"at": 30, "do": "host.power_off", "host": "node1"},
        {"at": 45, "do": "host.panic", "host": "node1"},
        {"at": 50, "do": "host.libvirtd_restart", "host": "node2", "forget": True},
        until=120,
    )
    assert outcome.gaps["vm1"] < 60
