"""manage.py simulate, as a person calls it."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.sim.rules import RULES, switched_off

HANGS = Path(__file__).resolve().parent.parent / "scenarios" / "libvirtd_hangs"


def _run(*args: str) -> str:
    out = StringIO()
    call_command("simulate", *args, stdout=out)
    return out.getvalue()


def test_it_prints_the_golden_log() -> None:
    golden = (HANGS / "log.expect").read_text(encoding="utf-8")
    assert _run(str(HANGS), "--depth", "pure") == golden


@pytest.mark.usefixtures("private_database")
def test_the_report_has_the_promised_shape() -> None:
    shown = json.loads(_run(str(HANGS), "--json"))
    assert shown["scenario"] == "libvirtd_hangs"
    assert shown["ended_at"] == 120
    assert (shown["split_brains"], shown["human_error_splits"]) == (0, 0)
    assert shown["violations"] == []
    run = {"host": "node1", "from": 0, "to": None, "proof": None}
    assert shown["vms"]["vm1"] == {"state": "up", "host": "node1", "downtime_s": 0, "runs": [run]}
    assert shown["hosts"]["node1"] == {"status": "up", "ha_state": "available", "power": "on"}
    assert set(shown) == {
        "scenario", "ended_at", "split_brains", "human_error_splits", "violations", "vms",
        "hosts", "fences", "alerts", "log",
    }  # fmt: skip


def test_random_schedules_end_with_one_line() -> None:
    said = _run("--random", "--depth", "pure", "--seed", "5", "--count", "4")
    assert said.startswith("4 schedules from seed 5 (pure): no invariant broken")
    assert said.count("\n") == 1


def test_a_broken_invariant_is_shown_shrunk_and_ends_with_status_1() -> None:
    purpose = next(rule for rule in RULES if "on purpose" in rule.name)
    out = StringIO()
    with switched_off(purpose), pytest.raises(SystemExit) as ended:
        call_command("simulate", "--random", "--depth", "pure", "--seed", "1", stdout=out)
    assert ended.value.code == 1
    assert "shrunk" in out.getvalue()
    purposes = ("do: vm.guest_shutdown", "do: libvirt.external_destroy", "do: admin.shutdown")
    assert any(word in out.getvalue() for word in purposes)
    assert "I4: " in out.getvalue()


def test_an_unmet_expectation_ends_with_status_1(tmp_path: Path) -> None:
    text = (HANGS / "scenario.yaml").read_text(encoding="utf-8")
    (tmp_path / "scenario.yaml").write_text(text.replace("host: node1}}", "host: node2}}"))
    with pytest.raises(SystemExit, match="expected vm1 on node2, got node1"):
        _run(str(tmp_path), "--depth", "pure")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "name a scenario folder"),
        (["--random", "--engines", "4"], "no whole number from 1 to 3"),
        (["--random", "--sweep"], "--sweep needs a scenario folder"),
    ],
)
def test_a_call_that_makes_no_sense_says_so(args: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        _run(*args)
