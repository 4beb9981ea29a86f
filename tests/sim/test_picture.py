"""The picture of a simulation shows what happened: it is compared with the portal and the world."""

import itertools
from functools import cache
from pathlib import Path

import pytest

from portal.sim.drawing import draw
from portal.sim.picture import HostLane, Picture, Segment, VmLane, picture
from portal.sim.scenario import Scenario, load, parse
from portal.sim.simulation import Outcome, simulate
from portal.sim.steps import steps_of
from portal.sim.telling import EVENTS, FAULTS, told, why
from portal.sim.truth import Executing
from portal.sim.words import WORDS
from portal.templatetags.look import RULES

FOLDER = Path(__file__).resolve().parent.parent / "scenarios"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/scenario.yaml"))


@cache
def played(name: str) -> tuple[Outcome, Picture]:
    """Return what came of a scenario, and its picture."""
    outcome = simulate(load(FOLDER / name), "pure")
    return outcome, picture(outcome.scenario, outcome.log, outcome.truth)


def told_by(parts: tuple[Segment, ...]) -> list[tuple[str, float, float]]:
    """Return the stretches of a row in tenths of seconds."""
    return [(part.value, round(part.from_s, 1), round(part.to_s, 1)) for part in parts]


def lanes(found: Picture) -> tuple[dict[str, HostLane], dict[str, VmLane]]:
    """Return the lanes by name."""
    return {lane.name: lane for lane in found.hosts}, {lane.name: lane for lane in found.vms}


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_ends_as_the_portal_and_the_world_ended(name: str) -> None:
    outcome, found = played(name)
    end, steps = found.moments[-1], len(found.steps)
    assert steps == len(outcome.log)
    shown = {host: (now.status, now.ha) for host, now in end.hosts.items()}
    assert shown == dict(outcome.view.statuses)
    restored = any(event.do == "db.restore_old" for event in outcome.scenario.events)
    for lane in found.vms if not restored else ():  # then the portal forgets what was shown
        runs = sorted(
            (run for run in outcome.view.runs if run.vm == lane.name), key=lambda r: r.generation
        )
        known = [(run.host, round(run.began_ms / 1000, 1), run.proof or "") for run in runs]
        mine = [part for part in lane.runs if part.value]
        assert [(part.value, round(part.from_s, 1), part.proof) for part in mine] == known
        assert end.vms[lane.name].is_quarantined == outcome.view.vms[lane.name][2]
        last = lane.executing(steps)
        there = {*last.value.split(" and "), *last.frozen.split(" and ")} - {""}
        assert there == set(outcome.where[lane.name])


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_ran_lasts_as_long_as_the_gap(name: str) -> None:
    outcome, found = played(name)
    for lane in found.vms:
        empty = [part for part in lane.executes if not part.value and not part.frozen]
        nowhere = sum(part.to_s - part.from_s for part in empty)
        # Gaps are counted by a tick each second: one may be missed or added at each edge.
        assert abs(nowhere - outcome.gaps[lane.name]) <= 1 + len(empty)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_without_gap_or_overlap_from_beginning_to_end(name: str) -> None:
    _, found = played(name)
    rows = [row for lane in found.hosts for row in (lane.status, lane.ha)]
    rows += [row for lane in found.vms for row in (lane.runs, lane.executes)]
    for row in rows:
        assert row[0].begin == 0
        assert row[-1].end == len(found.steps) + 1
        assert row[-1].to_s == found.until
        for one, following in itertools.pairwise(row):
            assert one.end == following.begin
            assert one.begin < one.end


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_told_in_words_and_every_rule_gives_its_reason(name: str) -> None:
    _, found = played(name)
    for step in found.steps:
        sentence = told(step)
        assert "{" not in sentence
        assert "  " not in sentence
        assert "_" not in sentence
        if step.detail in RULES:
            assert why(step) == RULES[step.detail]
        if step.kind.startswith("alert.") or step.detail.startswith("row "):
            assert why(step)


def test_the_sentences_are_of_words_that_exist() -> None:
    assert FAULTS.keys() <= WORDS.keys()
    assert not FAULTS.keys() & EVENTS.keys()


def test_a_host_that_is_cut_off_and_then_dies() -> None:
    _, found = played("isolated_then_dies")
    hosts, vms = lanes(found)
    assert told_by(hosts["node1"].status) == [
        ("up", 0.0, 33.0),
        ("connecting", 33.0, 36.0),
        ("non_responsive", 36.0, 111.8),
        ("down", 111.8, 111.9),
        ("rebooting", 111.9, 180.0),
    ]
    assert [part[:2] for part in told_by(hosts["node1"].ha)] == [
        ("available", 0.0),
        ("suspect", 36.0),
        ("checking", 36.0),
        ("degraded", 48.5),
        ("checking", 108.5),
        ("fencing", 108.5),
        ("fenced", 111.8),
    ]
    assert told_by(hosts["node2"].status) == [("up", 0.0, 180.0)]
    assert told_by(vms["vm1"].runs) == [
        ("node1", 0.0, 111.8),
        ("", 111.8, 111.8),
        ("node2", 111.8, 180.0),
    ]
    assert [part.proof for part in vms["vm1"].runs] == ["power_off", "", ""]
    executes = told_by(vms["vm1"].executes)
    assert [value for value, _, _ in executes] == ["node1", "", "node2"]
    assert executes[0][2] == 80.0  # it ends with the panic, not when the portal learns of it
    assert 111.8 < executes[2][1] <= 112.3


def test_faults_decisions_fences_proofs_and_alerts_are_marked_where_they_happen() -> None:
    hosts, vms = lanes(played("isolated_then_dies")[1])
    marks = [(step.mark, step.at) for step in hosts["node1"].marks if step.mark != "evidence"]
    assert marks == [
        ("fault", 30.0),
        ("alert", 36.0),
        ("decision", 48.5),
        ("alert", 48.5),
        ("fault", 80.0),
        ("decision", 108.5),
        ("decision", 108.5),
        ("fence", 108.6),
        ("fence", 108.7),
        ("fence", 109.8),
        ("proof", 111.8),
        ("decision", 111.8),
    ]
    assert [(step.mark, step.at) for step in vms["vm1"].marks] == [("proof", 111.8)]


def test_a_wrong_word_of_a_person_shows_two_copies_and_then_a_frozen_one() -> None:
    _, found = played("host_comes_back_with_stale_copy")
    vm = found.vms[0]
    assert [part.value for part in vm.executes] == ["node1", "node1 and node2", "node2"]
    assert [part.frozen for part in vm.executes] == ["", "", "node1"]
    twice = vm.executes[1]
    assert (80.0 < twice.from_s <= 80.5, round(twice.to_s, 1)) == (True, 120.5)


def test_each_moment_is_that_of_its_step() -> None:
    _, found = played("power_cut_with_heartbeat")
    at = {step.kind: step.number for step in found.steps if step.host == "node1"}
    before, after = found.moments[at["host.down"] - 1], found.moments[at["host.down"]]
    assert (before.hosts["node1"].status, after.hosts["node1"].status) == ("connecting", "down")
    proof = at["run.proof"]
    assert found.moments[proof - 1].vms["vm1"].host == "node1"
    assert found.moments[proof].vms["vm1"].host == ""
    start = next(step.number for step in found.steps if step.kind == "vm.starting")
    run = next(step.number for step in found.steps if step.kind == "vm.running")
    assert found.moments[start].vms["vm1"].is_starting
    assert not found.moments[run].vms["vm1"].is_starting
    assert found.moments[run].vms["vm1"].host == "node2"
    cut = next(step.number for step in found.steps if step.is_fault)
    assert found.vms[0].executing(cut - 1).value == "node1"
    assert found.vms[0].executing(cut).value == ""
    assert found.vms[0].executing(run).value == "node2"


def small() -> Scenario:
    """Return two hosts, one of them off, and a VM."""
    hosts = [{"name": "node1"}, {"name": "node2", "power": "off"}]
    return parse("x", {"hosts": hosts, "vms": [{"name": "vm1", "host": "node1"}], "until": 50})


def test_lines_are_read_with_their_host_vm_and_detail() -> None:
    log = (
        "    10.0  ! bmc.swap node2 node1",
        "    11.5  vm1 on node1: run.proof power_off",
        "    12.0  node1: fence.step off accepted by the BMC",
        "    13.0  ! site.power_cut",
    )
    steps = steps_of(small(), log)
    assert [(step.at, step.kind, step.host, step.vm) for step in steps] == [
        (10.0, "bmc.swap", "node2", ""),
        (11.5, "run.proof", "node1", "vm1"),
        (12.0, "fence.step", "node1", ""),
        (13.0, "site.power_cut", "", ""),
    ]
    assert [step.detail for step in steps[1:3]] == ["power_off", "off accepted by the BMC"]
    assert [step.is_fault for step in steps] == [True, False, False, True]
    found = picture(small(), log, [Executing(0, 0, "vm1", ("node1",))])
    assert [step.kind for step in found.marks] == ["site.power_cut"]
    assert found.moments[0].hosts["node2"].status == "down"


def test_a_line_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1 is no line"):
        steps_of(small(), ("Traceback",))


def test_the_drawing_gives_every_step_a_place_of_its_own() -> None:
    _, found = played("reader_dies_too")
    at = [draw(found, step).cursor for step in range(len(found.steps) + 1)]
    assert all(after - before >= 22 for before, after in itertools.pairwise(at))
    drawing = draw(found, 5)
    assert {mark.x for mark in drawing.marks} <= set(at)
    assert {mark.step for mark in drawing.marks} == {s.number for s in found.steps if s.mark}
    assert all(mark.x == at[mark.step] for mark in drawing.marks)
    assert drawing.cursor < drawing.later < drawing.width
    for bar in drawing.bars:
        room = bar.x + bar.width
        assert bar.x >= at[0]
        assert room < drawing.width
        assert all(bar.x < x and x + len(bar.label) * 6 < room for x in bar.at)
        assert (bar.tone == "bad") == (bar.pattern == "sim-hatch")


def test_a_vm_that_runs_twice_is_drawn_as_bad_and_says_so() -> None:
    _, found = played("host_comes_back_with_stale_copy")
    bad = [bar for bar in draw(found, 0).bars if bar.tone == "bad" and "twice" in bar.title]
    assert [bar.label for bar in bad] == ["TWICE: node1 and node2"]
    assert bad[0].at


def test_every_fault_word_has_a_sentence_and_no_sentence_is_of_another() -> None:
    assert set(FAULTS) == set(WORDS)
