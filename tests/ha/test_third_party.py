"""The provider of docs/providers.md, installed by pip and driven; and those that cannot be used."""

import importlib
import re
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as real_settings

from fencing.services import ha_resources
from portal.lib import ha_registry
from tests.ha.conftest import QUICK, Bench

DOCUMENT = Path(real_settings.BASE_DIR) / "docs" / "providers.md"


def block(language: str) -> str:
    """Return the document's only block in a language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(found)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder from which packages are imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("holdfast_"):
            del sys.modules[name]
    ha_registry.known.cache_clear()


def offer(folder: Path, name: str, code: str, points: str) -> None:
    """Put a distribution with these entry points into the folder, as an installer does."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(f"[{ha_registry.GROUP}]\n{points}\n")
    importlib.invalidate_caches()
    ha_registry.known.cache_clear()


def packed(folder: Path) -> Path:
    """Return the documented files as the wheel that a build makes of them."""
    project = tomllib.loads(block("toml"))["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in found.items())
        for group, found in project["entry-points"].items()
    )
    info = f"{name}-{version}.dist-info"
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", block("python"))
        archive.writestr(f"{info}/METADATA", about)
        archive.writestr(f"{info}/entry_points.txt", points)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def listener() -> tuple[socket.socket, str]:
    """Return a socket that takes connections, and its address."""
    door = socket.create_server(("127.0.0.1", 0))
    return door, f"127.0.0.1:{door.getsockname()[1]}"


def test_the_example_is_short() -> None:
    assert len(block("python").splitlines()) <= 60


def test_the_documented_provider_installs_and_is_driven(
    bench: Bench, on_path: Path, tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
            "--target", str(on_path), str(packed(tmp_path))]  # fmt: skip
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    importlib.invalidate_caches()
    ha_registry.known.cache_clear()
    entry = ha_registry.known()["door"]
    assert (entry.why_not, entry.source, entry.kinds) == ("", "holdfast-door 1.0", ("service",))

    service, at = listener()
    watchdog, restart = listener()
    with closing(watchdog):
        row = ha_resources.add(
            {"kind": "service", "key": "mail", "provider": "door", "cluster": bench.cluster,
             "thresholds": QUICK, "options": {"at": at, "restart": restart}},
            actor="ann", now=bench.clock.time,
        )  # fmt: skip
        ha_resources.switch(row, on=True, actor="ann", now=bench.clock.time)
        bench.pass_time(3)
        assert bench.row(row.pk).state == "available"
        assert bench.row(row.pk).said["text"] == f"{at} is open"
        service.close()
        bench.until(row.pk, lambda row: row.state == "recovered")
    assert bench.log(row.pk)[-2:] == [
        "recover checking→recovering", "recovery_done recovering→recovered",
    ]  # fmt: skip


WHOLE = """
from portal.lib.ha.provider import Capability
class Fine:
    name, kinds, capabilities, options = "fine", ("thing",), frozenset(Capability), {}
    def is_eligible(self, subject, ask): ...
    is_healthy = has_activity = recover = fence = is_eligible
class Renamed(Fine): name = "other"
class Lacking(Fine): name, fence, recover = "lacking", None, None
class Greedy(Fine): name, kinds = "greedy", ("host",)
class Kindless(Fine): name, kinds = "kindless", ()
class Able(Fine): name, capabilities = "able", {"fly"}
class Ours(Fine): name = "vm-guest"
class Dear(Fine):
    name = "dear"
    def __init__(self): raise RuntimeError("no licence")
"""


@pytest.mark.parametrize(
    ("name", "what", "words"),
    [
        ("renamed", "Renamed", "it calls itself 'other'"),
        ("lacking", "Lacking", "it lacks recover, fence"),
        ("greedy", "Greedy", "belong to the portal"),
        ("kindless", "Kindless", "at least one"),
        ("able", "Able", "capabilities must be of activity, recover, fence"),
        ("dear", "Dear", "it does not load: RuntimeError: no licence"),
        ("gone", "Gone", "it does not load: AttributeError"),
    ],
)
def test_what_cannot_be_used_is_listed_with_the_reason(
    on_path: Path, name: str, what: str, words: str
) -> None:
    points = f"{name} = holdfast_odd:{what}\nfine = holdfast_odd:Fine"
    offer(on_path, "holdfast_odd", WHOLE, points)
    found = ha_registry.known()
    assert words in found[name].why_not
    assert ha_registry.provider_named(name) is None
    assert ha_registry.provider_named("fine") is not None
    assert found["fine"].source == "holdfast_odd 2.0"


def test_nobody_takes_the_name_of_a_provider_of_the_house(on_path: Path, caplog: Any) -> None:
    offer(on_path, "holdfast_odd", WHOLE, "vm-guest = holdfast_odd:Ours")
    assert ha_registry.known()["vm-guest"].source == "built in"
    assert "is there twice" in caplog.text


def test_the_simulator_exists_only_in_the_demo(tmp_path: Path) -> None:
    for folder, there in (("", False), (str(tmp_path), True)):
        code = (
            "import django; django.setup()\n"
            "from django.urls import get_resolver\n"
            "from portal.lib.ha_registry import known\n"
            "from portal.api.routes import urlpatterns\n"
            "print('simulator' in known(), 'simulator-providers' in str(get_resolver()"
            ".reverse_dict.keys()))"
        )
        env = {
            "PATH": "", "DJANGO_SETTINGS_MODULE": "portal.settings", "HOLDFAST_DEMO": folder,
            "HOLDFAST_VAR": str(tmp_path / "var"), "PYTHONPATH": str(real_settings.BASE_DIR),
        }  # fmt: skip
        argv = [sys.executable, "-c", code]
        told = subprocess.run(
            argv, env=env, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60
        )
        assert told.stdout.split() == [str(there)] * 2
