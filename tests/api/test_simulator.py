"""The simulator over REST: the same picture as on its page, in numbers."""

from pathlib import Path
from typing import Any

from django.conf import settings

from portal.core.models import Role
from tests.api.conftest import API, Centre, Speaks

LIST = f"{API}/simulator/scenarios/"


def test_every_scenario_is_listed_with_its_sentence(centre: Centre, speaks: Speaks) -> None:
    answer = speaks(Role.VIEWER).get(LIST).json()
    by_name = {item["name"]: item for item in answer["results"]}
    assert by_name.keys() == {path.parent.name for path in settings.SCENARIOS.glob("*/README.md")}
    item = by_name["isolated_then_dies"]
    assert item["faults"] == ["host.isolate", "host.panic"]
    assert (item["hosts"], item["vms"]) == (["node1", "node2", "node3"], ["vm1"])
    assert item["sentence"].startswith("A host that was cut off and alive dies")


def test_a_scenario_is_told_as_steps_and_lanes(centre: Centre, speaks: Speaks) -> None:
    told = speaks(Role.VIEWER).get(f"{LIST}isolated_then_dies/").json()
    assert (told["until_s"], told["wrong"], len(told["steps"])) == (180, [], 27)
    fence = told["steps"][15]
    assert (fence["number"], fence["at_s"], fence["mark"]) == (16, 108.5, "decision")
    assert fence["reason"].startswith("Row 5")
    assert [part["value"] for part in told["host_lanes"][0]["status"]] == [
        "up",
        "connecting",
        "non_responsive",
        "down",
        "rebooting",
    ]
    runs = told["vm_lanes"][0]["runs"]
    assert [(part["value"], part["proof"]) for part in runs] == [
        ("node1", "power_off"),
        ("", ""),
        ("node2", ""),
    ]
    executes = told["vm_lanes"][0]["executes"]
    assert [(part["value"], part["from_s"]) for part in executes][:2] == [("node1", 0), ("", 80)]


def test_an_unknown_scenario_is_a_problem_with_its_cure(centre: Centre, speaks: Speaks) -> None:
    answer = speaks(Role.VIEWER).get(f"{LIST}nothing_such/")
    assert answer.status_code == 404
    assert "no scenario named “nothing_such”" in answer.json()["detail"]
    assert answer.json()["cure"] == "Take a name from /api/v1/simulator/scenarios/."


def test_without_a_folder_the_list_is_empty(
    centre: Centre, speaks: Speaks, settings: Any, tmp_path: Path
) -> None:
    settings.SCENARIOS = tmp_path / "none"
    assert speaks(Role.VIEWER).get(LIST).json() == {"results": []}


def test_a_parameter_that_means_nothing_is_refused(centre: Centre, speaks: Speaks) -> None:
    assert speaks(Role.VIEWER).get(LIST, {"searhc": "x"}).status_code == 400
