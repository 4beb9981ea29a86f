"""Calling ``manage.py`` as an administrator does, and what a good refusal looks like."""

import os
import subprocess
import sys
from pathlib import Path

from portal.bench.rig import ROOT, free_port

PYTHON = sys.executable
Said = subprocess.CompletedProcess[str]


def environment(tmp_path: Path, **env: str) -> dict[str, str]:
    """Return an environment with a data folder and a port of its own, and ``env`` over it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HOLDFAST_", "DATABASE_URL"))
    }
    own = {
        "HOLDFAST_VAR": str(tmp_path / "var"),
        "HOLDFAST_BASE_URL": f"http://127.0.0.1:{free_port()}",
    }
    return {**kept, **own, **env}


def call(
    tmp_path: Path,
    *args: str,
    wrap: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    **more: str,
) -> Said:
    """Run ``manage.py`` with nobody at the keyboard; ``wrap`` goes before it."""
    argv = [*wrap, PYTHON, str(ROOT / "manage.py"), *args]
    return run(argv, environment(tmp_path, **(env or {}), **more))


def run(argv: list[str], env: dict[str, str], cwd: Path = ROOT) -> Said:
    """Run ``argv`` for at most 40 seconds."""
    return subprocess.run(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=40, check=False,
    )  # fmt: skip


def refusal(said: Said, *words: str) -> str:
    """Return the one sentence of a refusal, which must hold ``words``."""
    shown = f"{said.stdout}\n---\n{said.stderr}"
    lines = said.stderr.strip().splitlines()
    assert said.returncode == 1, shown
    assert len(lines) == 1, shown
    assert lines[0].endswith("."), shown
    assert "Traceback" not in shown
    for word in words:
        assert word in lines[0], f"{word!r} is not in: {lines[0]}"
    return lines[0]


def namespace() -> tuple[str, ...]:
    """Return the wrapper for a process that may mount things which nobody else sees."""
    return ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-rm")
