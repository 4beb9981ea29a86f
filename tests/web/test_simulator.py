"""The simulator's pages: the list, the picture at a step, and what is said where there is none."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

LIST = "/simulator/"
PAGE = "/simulator/isolated_then_dies/"


def body(answer: Any) -> str:
    """Return the words of a page, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def sentence(answer: Any) -> str:
    """Return what is said of the step, and its reason."""
    found = re.search(r'<p class="sim-told">(.*?)</p>', answer.content.decode(), re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())


def test_every_scenario_stands_in_the_list_with_its_sentence_and_faults(viewer: Client) -> None:
    answer = viewer.get(LIST)
    page = answer.content.decode()
    for folder in settings.SCENARIOS.glob("*/"):
        assert f'href="/simulator/{folder.name}/"' in page
    assert "only then is it fenced and its VM restarted" in page
    assert "site.power_cut" in page
    assert "A VM starts after another" in page
    assert f'href="{LIST}" aria-current="page"' in page


def test_the_list_is_searched_by_name_sentence_and_fault(viewer: Client) -> None:
    for given in ("isolated then", "ONLY THEN is it fenced"):
        page = viewer.get(LIST, {"search": given}).content.decode()
        assert PAGE in page
        assert "/simulator/black_start/" not in page
    assert "/simulator/black_start/" in viewer.get(LIST, {"search": "site.power"}).content.decode()
    assert "No scenario fits “<b>”" in body(viewer.get(LIST, {"search": "<b>"})).replace(
        "&lt;b&gt;", "<b>"
    )


def test_the_search_of_everything_leads_to_the_simulator(viewer: Client) -> None:
    assert LIST in viewer.get("/search/", {"q": "simul"}).content.decode()


def test_a_scenario_opens_where_its_first_fault_happens(viewer: Client) -> None:
    said = body(viewer.get(PAGE))
    assert "Step 4 of 27, after 30.0 s" in said
    assert "node1 is cut off from the network, and goes on running." in said
    assert "Long pauses are drawn shorter" in said


def test_a_step_shows_its_reason_and_what_holds_at_that_moment(viewer: Client) -> None:
    assert sentence(viewer.get(PAGE, {"step": 13})) == (
        "The kernel of node1 panics; the power stays on."
    )
    answer = viewer.get(PAGE, {"step": 16})
    said = body(answer)
    assert sentence(answer).startswith("HA of node1 is now “being fenced”. Row 5: power on")
    assert "node1 not responding being fenced" in said
    assert "its run on node1 is open executes nowhere" in said
    said = body(viewer.get(PAGE, {"step": 27}))
    assert "its run on node2 is open executes on node2" in said
    assert "It ended as this scenario expects" in said


def test_first_back_forward_and_last_are_links_that_need_no_script(viewer: Client) -> None:
    page = viewer.get(PAGE, {"step": 5}).content.decode()
    found = dict(re.findall(r'data-sim-go="(\w+)"[^>]* href="\?step=(\d+)"', page))
    assert found == {"first": "0", "back": "4", "forward": "6", "last": "27"}
    at_first = viewer.get(PAGE, {"step": 0}).content.decode()
    assert re.findall(r'data-sim-go="(\w+)"', at_first) == ["forward", "last"]
    assert "nothing has happened yet" in at_first
    at_last = viewer.get(PAGE, {"step": 27}).content.decode()
    assert re.findall(r'data-sim-go="(\w+)"', at_last) == ["first", "back"]


def test_the_picture_has_a_cursor_that_moves_with_the_step(viewer: Client) -> None:
    places = []
    for step in (3, 4, 20):
        page = viewer.get(PAGE, {"step": step}).content.decode()
        found = re.search(r'id="sim-cursor" x1="([\d.]+)"', page)
        assert found is not None
        places.append(float(found[1]))
        assert f'data-step="{step}" href="?step={step}" aria-current="step"' in page
    assert places == sorted(set(places))


def test_a_script_gets_the_part_alone(viewer: Client) -> None:
    page = viewer.get(PAGE, {"step": 5}, headers={"X-Part": "1"}).content.decode()
    assert "<html" not in page
    assert 'id="sim-cursor"' in page


@pytest.mark.parametrize("step", ["28", "-1", "x", "", "1.5", "٣", "9" * 5000])
def test_a_step_that_is_none_is_told_with_those_there_are(viewer: Client, step: str) -> None:
    answer = viewer.get(PAGE, {"step": step})
    assert answer.status_code == 404
    assert "There is no such step: Isolated then dies has the steps 0 to 27." in body(answer)


@pytest.mark.parametrize("name", ["nothing_such", "-", "README", "a" * 300])
def test_an_unknown_scenario_is_told_with_where_to_look(viewer: Client, name: str) -> None:
    answer = viewer.get(f"/simulator/{name}/")
    assert answer.status_code == 404
    assert f"There is no scenario named “{name}”: /simulator/ lists them all." in body(answer)


def test_an_installation_without_scenarios_says_so(
    viewer: Client, settings: Any, tmp_path: Path
) -> None:
    settings.SCENARIOS = tmp_path / "none"
    answer = viewer.get(LIST)
    assert answer.status_code == 200
    assert "This installation has no scenarios" in body(answer)
    assert viewer.get(PAGE).status_code == 404


def _copied(settings: Any, folder: Path) -> Path:
    """Let the installation have one scenario, a copy that may be written; return its file."""
    copy = shutil.copytree(settings.SCENARIOS / "isolated_then_dies", folder / "isolated_then_dies")
    settings.SCENARIOS = folder
    return Path(copy) / "scenario.yaml"


def test_a_scenario_that_was_edited_is_played_anew(
    viewer: Client, settings: Any, tmp_path: Path
) -> None:
    file = _copied(settings, tmp_path)
    assert "Step 4 of 27" in body(viewer.get(PAGE))
    file.write_text(file.read_text().replace("at: 30", "at: 40"))
    assert "after 40.0 s" in body(viewer.get(PAGE))
    file.write_text("hosts: 5")
    answer = viewer.get(PAGE)
    assert answer.status_code == 404
    assert "cannot be understood" in body(answer)
    assert viewer.get(LIST).status_code == 200


def test_what_came_otherwise_than_expected_is_told(
    viewer: Client, settings: Any, tmp_path: Path
) -> None:
    file = _copied(settings, tmp_path)
    file.write_text(file.read_text().replace("fenced: [node1]", "fenced: [node2]"))
    assert "expected fenced hosts" in body(viewer.get(PAGE))


def test_a_web_process_starts_without_the_engine_of_the_simulator() -> None:
    code = (
        "import sys, django; django.setup(); import portal.urls; "
        "sys.exit('portal.sim.simulation' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
