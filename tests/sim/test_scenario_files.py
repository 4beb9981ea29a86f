"""A scenario is understood whole or refused with the words that are known."""

from pathlib import Path
from typing import Any

import pytest

from portal.sim.scenario import BadScenario, load, parse
from portal.sim.words import WORDS

GOOD: dict[str, Any] = {
    "hosts": [{"name": "node1"}, {"name": "node2", "power": "off"}],
    "vms": [{"name": "vm1", "host": "node1"}],
    "events": [{"at": 30, "do": "host.power_off", "host": "node1"}],
}


def test_defaults_fill_what_is_not_said() -> None:
    scenario = parse("x", GOOD)
    assert scenario.hosts[0].memory_mib == 16384
    assert scenario.hosts[0].power == "on"
    assert scenario.vms[0].ha
    assert scenario.until == 300
    assert scenario.cluster.armed


def test_events_are_played_in_the_order_of_time() -> None:
    late = {"at": 50, "do": "host.power_on", "host": "node1"}
    scenario = parse("x", GOOD | {"events": [late, *GOOD["events"]]})
    assert [event.at for event in scenario.events] == [30, 50]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes": []}, r"'nodes' is unknown; known are .*hosts"),
        ({"hosts": [{"name": "node1", "ram": 1}]}, "'ram' is unknown.*memory_mib"),
        ({"vms": [{"host": "node1"}]}, "'name' is missing"),
        ({"vms": [{"name": "vm1", "host": "node9"}]}, "there is no host 'node9'"),
        ({"events": [{"at": 1, "do": "host.explode"}]}, "host.explode.*known are.*host.power_off"),
        ({"events": [{"at": 1, "do": "host.panic"}]}, "host.panic needs host"),
        ({"events": [{"do": "engine.start"}]}, "needs 'at' and 'do'"),
        ({"events": [{"at": 1, "do": "host.panic", "host": "node7"}]}, "no host 'node7'"),
        ({"events": [{"at": 1, "do": "engine.start", "s": 3}]}, "'s' is unknown"),
        ({"cluster": {"policy": {"gracious": 1}}}, "gracious: no such setting"),
        ({"expect": {"vm": {}}}, "'vm' is unknown; known are.*vms"),
        ({"engines": ["a", "a"]}, "engines: a name stands twice"),
        ({"engines": []}, "engines: must be a list of names"),
        ({"engines": "engine1"}, "engines: must be a list of names"),
    ],
)
def test_a_mistake_is_refused_with_its_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadScenario, match=words):
        parse("x", GOOD | changes)


def test_a_folder_without_a_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match=r"scenario\.yaml"):
        load(tmp_path)


def test_the_fault_words_of_the_skeleton_are_all_there() -> None:
    wanted = """
        host.power_off host.power_on host.panic host.hang host.thaw host.isolate
        host.rejoin host.reboot host.libvirtd_restart power.cut power.restore bmc.fail
        bmc.repair bmc.auth_fail bmc.slow_off bmc.lie bmc.swap vm.crash vm.guest_shutdown
        vm.start_fails vm.start_hangs libvirt.external_start libvirt.external_destroy
        admin.confirm_rebooted admin.start admin.stop admin.shutdown admin.maintenance
        admin.activate admin.observe admin.arm admin.set_policy engine.crash engine.start
        task.delay task.duplicate
    """
    assert set(wanted.split()) <= set(WORDS)
