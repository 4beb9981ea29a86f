"""The rules of the house, and that breaking them is noticed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import budgets

ROOT = Path(__file__).resolve().parent.parent
APPS = ["portal", "hosts", "vms", "fencing"]
PURE = ["hosts.domain", "vms.domain", "fencing.domain", "portal.lib.ha"]

# What would be added where -> the words of the report that must then appear.
VIOLATIONS = [
    (
        "fencing/domain/sly_framework.py",
        "import django.utils",
        "fencing.domain.sly_framework -> django",
    ),
    ("hosts/domain/sly_library.py", "import httpx", "hosts.domain.sly_library -> httpx"),
    (
        "vms/domain/sly_clock.py",
        "import portal.lib.clock",
        "vms.domain.sly_clock -> portal.lib.clock",
    ),
    (
        "portal/lib/ha/sly_core.py",
        "import portal.core.models",
        "portal.lib.ha.sly_core -> portal.core",
    ),
    (
        "hosts/services.py",
        "import hosts.hypervisor.port",
        "hosts.services -> hosts.hypervisor.port",
    ),
    (
        "fencing/selectors.py",
        "import fencing.power.port",
        "fencing.selectors -> fencing.power.port",
    ),
    ("hosts/views.py", "import hosts.hypervisor.port", "hosts.views -> hosts.hypervisor.port"),
    ("hosts/models.py", "import hosts.services", "hosts.models -> hosts.services"),
    ("hosts/selectors.py", "import vms.models", "hosts.selectors -> vms.models"),
    ("vms/selectors.py", "import fencing.models", "vms.selectors -> fencing.models"),
    ("portal/lib/sly_app.py", "import hosts.models", "portal.lib.sly_app -> hosts.models"),
    ("portal/core/sly_app.py", "import vms.models", "portal.core.sly_app -> vms.models"),
    ("hosts/tasks.py", "import portal.celery", "hosts.tasks -> portal.celery"),
    ("vms/services.py", "import libvirt", "vms.services -> libvirt"),
    ("portal/demo/sly_libvirt.py", "import libvirt", "portal.demo.sly_libvirt -> libvirt"),
    (
        "portal/lib/sly_settings.py",
        "import portal.settings",
        "portal.lib.sly_settings -> portal.settings",
    ),
    ("hosts/helpers.py", "", "- hosts.helpers"),
    ("portal/utils.py", "", "- portal.utils"),
]

# What would be written where -> the complaint; None is for what is allowed.
BREACHES = [
    ("hosts/long.py", "x = 1\n" * 301, "301 lines"),
    ("hosts/exact.py", "x = 1\n" * 300, None),
    ("static/long.js", "f();\n" * 301, "301 lines"),
    ("static/vendor/long.js", "f();\n" * 301, None),
    ("hosts/migrations/0001_long.py", "x = 1\n" * 301, None),
    ("hosts/f.py", "def f():\n" + "    x = 1\n" * 40, "f() has 41 lines"),
    ("hosts/f.py", "@a\n@b\ndef f():\n" + "    x = 1\n" * 39, None),
    ("hosts/f.py", 'def f():\n    """A\n' + "    b\n" * 38 + '    """\n', "f() has 41 lines"),
    ("hosts/f.py", "async def f():\n" + "    x = 1\n" * 40, "f() has 41 lines"),
    ("hosts/n.py", "x = 1  # noqa\n", "reason"),
    ("hosts/n.py", "x = 1  # noqa: E501\n", "reason"),
    ("hosts/n.py", "x = 1  # noqa: E501 - ok\n", "reason"),
    ("hosts/n.py", "x = 1  # noqa: E501 - an address cannot be broken\n", None),
    ("hosts/n.py", "x = 1  # type: ignore  # the stubs lack it\n", "reason"),
    ("hosts/n.py", "x = 1  # type: ignore[attr-defined]\n", "reason"),
    ("hosts/n.py", "x = 1  # type: ignore[attr-defined]  # the stubs lack it\n", None),
    ("hosts/n.py", "# ruff: noqa: E501\n", "reason"),
    ("hosts/n.py", "# mypy: ignore-errors\n", "reason"),
    ("hosts/n.py", 'x = "# noqa"\n', None),
    ("hosts/t.py", "import time\ntime.sleep(1)\n", "time.sleep"),
    ("hosts/t.py", "from time import sleep as nap\nnap(1)\n", "time.sleep"),
    ("hosts/t.py", "from datetime import datetime\ndatetime.now()\n", "datetime.datetime.now"),
    ("hosts/t.py", "import datetime as d\nf = d.datetime.now\n", "datetime.datetime.now"),
    ("hosts/t.py", "from django.utils import timezone\ntimezone.now()\n", "timezone.now"),
    ("hosts/t.py", "from django.db.models.functions import Now\nNow()\n", "functions.Now"),
    ("hosts/t.py", "m.DateTimeField(auto_now_add=True)\n", "auto_now_add"),
    ("hosts/t.py", "import time\ntime.monotonic()\n", None),
    ("hosts/t.py", "from portal.lib import clock\nclock.now()\n", None),
    ("portal/lib/clock.py", "import time\ntime.sleep(1)\n", None),
    ("portal/lib/clocks.py", "import time\ntime.sleep(1)\n", "time.sleep"),
    ("docs/a.md", "see /roo" + "t/notes\n", "names a developer's machine"),
    ("docs/a.md", "see /hom" + "e/ann/notes\n", "names a developer's machine"),
    ("package-lock.json", '"https://registry.npmjs' + '.org/x"\n', "names a developer's machine"),
    ("docs/a.md", "see /home page and /usr/bin\n", None),
]  # fmt: skip


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the tree in ``folder``."""
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=folder,
        env=os.environ | {"COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )


def copy_of_the_code(folder: Path) -> Path:
    """Copy what import-linter reads, with room for additions."""
    for app in APPS:
        shutil.copytree(ROOT / app, folder / app, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_tree_keeps_its_budgets_and_bans() -> None:
    assert budgets.findings(ROOT) == []


@pytest.mark.parametrize(("name", "text", "complaint"), BREACHES)
def test_a_breach_of_a_budget_is_found(
    tmp_path: Path, name: str, text: str, complaint: str | None
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    found = budgets.findings(tmp_path)
    if complaint is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(name)
        assert complaint in found[0]


def test_the_layers_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def report_of_violations(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Import-linter's words on a tree with every violation of the table in it."""
    tree = copy_of_the_code(tmp_path_factory.mktemp("violated"))
    for app in APPS[1:]:
        for layer in ("models", "services"):
            (tree / app / f"{layer}.py").touch()
    for name, line, _ in VIOLATIONS:
        with (tree / name).open("a") as file:
            file.write(f"\n{line}\n")
    result = lint_imports(tree)
    assert result.returncode == 1, result.stdout + result.stderr
    return " ".join(result.stdout.split())


@pytest.mark.parametrize(("name", "line", "words"), VIOLATIONS)
def test_a_violation_of_the_layers_is_reported(
    report_of_violations: str, name: str, line: str, words: str
) -> None:
    assert words in report_of_violations, f"{line!r} in {name} went unnoticed"


_IMPORT_ALL = """
import importlib, json, pkgutil, sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
count = 0
for name in sys.argv[2:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
        count += 1
new = set(sys.modules) - before
loaded = {name for name in new if name.partition(".")[0] not in sys.stdlib_module_names}
json.dump({"count": count, "loaded": sorted(loaded)}, sys.stdout)
"""


def impure_modules(root: Path, packages: list[str]) -> list[str]:
    """Import all of ``packages`` in a fresh process; name what is neither them nor standard."""
    argv = [sys.executable, "-I", "-c", _IMPORT_ALL, str(root), *packages]
    result = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    assert result["count"] > 0, "no module was found at all"
    parents = {name.rpartition(".")[0] for name in packages} | {"portal"}
    return [
        name
        for name in result["loaded"]
        if name not in parents and not any(f"{name}.".startswith(f"{p}.") for p in packages)
    ]


def test_the_brain_runs_without_any_framework() -> None:
    assert impure_modules(ROOT, PURE) == []


def test_a_framework_that_slips_into_the_brain_is_seen_at_run_time(tmp_path: Path) -> None:
    """Import-linter cannot see an import that is made from a string."""
    tree = copy_of_the_code(tmp_path)
    sly = "import importlib\nimportlib.import_module('dja' + 'ngo.utils.timezone')\n"
    (tree / "fencing" / "domain" / "sly.py").write_text(sly)
    assert "django.utils.timezone" in impure_modules(tree, PURE)
