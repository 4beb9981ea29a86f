"""Every scenario folder: its log is the golden one in both depths, and its expectation holds."""

from pathlib import Path

import pytest

from portal.sim.report import report, unmet
from portal.sim.scenario import load
from portal.sim.simulation import simulate

ROOT = Path(__file__).resolve().parent.parent / "scenarios"
FOLDERS = sorted(path.parent for path in ROOT.glob("*/scenario.yaml"))

pytestmark = pytest.mark.usefixtures("private_database")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_scenario_ends_as_expected_with_the_same_golden_log_in_both_depths(folder: Path) -> None:
    scenario = load(folder)
    pure, full = simulate(scenario, "pure"), simulate(scenario, "full")
    golden = (folder / "log.expect").read_text(encoding="utf-8").splitlines()
    assert list(full.log) == golden
    assert list(pure.log) == golden
    for outcome in (pure, full):
        assert [*outcome.violations, *unmet(outcome)] == []
    shown_pure, shown_full = report(pure), report(full)
    assert shown_pure["vms"] == shown_full["vms"]
    assert shown_pure["fences"] == shown_full["fences"]
    assert shown_pure["hosts"] == shown_full["hosts"]
    assert shown_pure["alerts"] == shown_full["alerts"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_scenario_says_in_one_sentence_what_must_happen(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8").strip()
    assert text.endswith(".")
    assert "\n" not in text
    assert load(folder).expect is not None


def test_there_are_120_scenarios_at_least() -> None:
    assert len(FOLDERS) >= 120
