"""Arguments that make no sense: the last line says which, and nothing is done."""

from pathlib import Path

import pytest

from portal.bench.rig import ROOT
from tests.core.starting import call, environment, refusal, run


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["simulate", "--random", "--seed", "abc"], "--seed: 'abc'"),
        (["simulate", "--random", "--count", "0"], "--count: '0'"),
        (["simulate", "--random", "--hosts", "1"], "--hosts: '1'"),
        (["simulate", "--random", "--vms", "-3"], "--vms: '-3'"),
        (["simulate", "nowhere"], "nowhere holds no scenario.yaml"),
        (["simulate", "README.md"], "README.md holds no scenario.yaml"),
        (["simulate", "nowhere", "--random"], "not both"),
        (["simulate"], "name a scenario folder"),
        (["bench", "failover", "-n", "0"], "-n: '0'"),
        (["bench", "failover", "-n", "many"], "-n: 'many'"),
        (["bench", "failover", "--case", "flood"], "'power_off'"),
        (["reset-access"], "user"),
        (["confirm-rebooted"], "host"),
    ],
)
def test_arguments_that_make_no_sense_end_with_what_is_wrong(
    tmp_path: Path, args: list[str], words: str
) -> None:
    said = call(tmp_path, *args)
    assert said.returncode != 0
    assert said.stdout == ""
    assert words in said.stderr.strip().splitlines()[-1]
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    "text", ["hosts: 5", "until: soon", "hosts: [", "\xe9", "- a", "events: [1]"]
)
def test_a_scenario_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "scenario.yaml").write_text(text, encoding="latin-1")
    said = call(tmp_path, "simulate", str(tmp_path), "--depth", "pure")
    assert said.returncode == 1
    assert len(said.stderr.strip().splitlines()) == 1, said.stderr


@pytest.mark.parametrize(
    ("word", "env", "words"),
    [
        ("walk", {}, "say 'run', 'dev' or 'lab', not 'walk'"),
        ("run", {"HOLDFAST_PYTHON": "/nowhere/python3"}, "HOLDFAST_PYTHON=/nowhere/python3"),
    ],
)
def test_set_up_says_what_it_misses(
    tmp_path: Path, word: str, env: dict[str, str], words: str
) -> None:
    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "setup.sh"
    script.write_bytes((ROOT / "tools" / "setup.sh").read_bytes())
    given = environment(tmp_path, HOLDFAST_PACKAGES="skip", **env)
    refusal(run(["bash", str(script), word], given), words)
