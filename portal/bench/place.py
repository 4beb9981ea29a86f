"""A portal of the bench's own: folder, database, web server and Redis, gone afterwards.

What needs the portal's own code (rows, counting queries, commits) runs in a process
inside, with the place's settings: those of the bench's process are the person's.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from portal.bench.postgres import running_server
from portal.bench.rig import ROOT, SETPRIV, RigError, free_port, until
from portal.cli.up import redis_argv, web_argv
from portal.lib.processes import spawn, stop

DATABASES = ("sqlite", "postgresql")
#: Making rows for the largest bench takes a minute or two.
PATIENCE_S = 900.0
_INSIDE = "import django; django.setup(); from portal.bench.inside import main; main()"


class Inside:
    """A process with the place's settings that answers one line of JSON for each line."""

    def __init__(self, place: "Place") -> None:
        self._words = place.folder / "inside.log"
        with self._words.open("ab") as log:
            self._process = subprocess.Popen(
                [SETPRIV, "--pdeathsig", "KILL", "--", sys.executable, "-c", _INSIDE],
                env=place.env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def ask(self, what: str, **fields: Any) -> Any:
        """Have a function of ``portal.bench.inside`` called; return its answer."""
        process = self._process
        if process.stdin is None or process.stdout is None:  # both were asked for
            raise RigError("the process inside has no pipes")
        with suppress(BrokenPipeError):
            process.stdin.write(f"{json.dumps({'what': what} | fields)}\n".encode())
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RigError(f"{what} failed inside: {self._words.read_text()[-3000:]}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        stop(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


class Place:
    """The folder and the environment of one portal."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")},
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "HOLDFAST_VAR": str(folder),
            "HOLDFAST_BASE_URL": self.url,
            "HOLDFAST_LOG_LEVEL": "WARNING",
            "PYTHONPATH": str(ROOT),
        }
        self.env.pop("DATABASE_URL", None)
        if database_url:
            self.env["DATABASE_URL"] = database_url
        (folder / "run").mkdir()

    @contextmanager
    def inside(self) -> Iterator[Inside]:
        """Yield a process that runs the portal's own code."""
        process = Inside(self)
        try:
            yield process
        finally:
            process.close()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the web server and its Redis, as ``manage.py up`` does."""
        words = self.folder / "web.log"
        children: list[subprocess.Popen[bytes]] = []
        with words.open("wb") as log:
            try:
                redis = redis_argv(self.folder / "run" / "redis.sock")
                for argv in (redis, web_argv(("127.0.0.1", self.port))):
                    children.append(spawn(argv, env=self.env, cwd=ROOT, log=log))  # noqa: PERF401 - what has started must be stopped
                until(lambda: self._answers(children), 60, "the web server to answer")
                yield
            finally:
                for child in reversed(children):
                    stop(child)

    def _answers(self, children: list[subprocess.Popen[bytes]]) -> bool:
        if any(child.poll() is not None for child in children):
            words = (self.folder / "web.log").read_text(errors="replace")
            raise RigError(f"the web server ended: {words[-2000:]}")
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/livez", timeout=2).status_code == 200
        return False


@contextmanager
def places(database: str, count: int) -> Iterator[list[Place]]:
    """Yield ``count`` places, each with an empty database of its own, on one server if any."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as top:
        folders = [Path(top) / str(number) for number in range(count)]
        for folder in folders:
            folder.mkdir(mode=0o700)
        if database == "sqlite":
            yield [Place(folder, "") for folder in folders]
            return
        with running_server() as server:
            for folder in folders:
                server.create(f"bench{folder.name}")
            yield [Place(folder, server.url(f"bench{folder.name}")) for folder in folders]
