"""The table of other products' cases names only what exists, and every folder that is one."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TABLE = (ROOT / "docs" / "cases.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([\w./]+)`", TABLE))


def test_every_folder_and_test_that_the_table_names_exists() -> None:
    tests = (ROOT / "tests" / "ha" / "test_simulator_cases.py").read_text(encoding="utf-8")
    for name in NAMED - {"tests/scenarios/", "test_hostha_simulator.py", "test_hostha_kvm.py"}:
        if name.startswith("tests/"):
            assert (ROOT / name).is_file(), name
        elif name.startswith("test_"):
            assert name == "test_NN" or f"def {name}_" in tests, name
        else:
            assert (ROOT / "tests" / "scenarios" / name / "scenario.yaml").is_file(), name


def test_every_folder_of_a_case_is_in_the_table() -> None:
    folders = {path.name for path in (ROOT / "tests" / "scenarios").iterdir()}
    cases = {name for name in folders if name.startswith(("cloudstack_", "peers_"))}
    assert cases - NAMED == set()
