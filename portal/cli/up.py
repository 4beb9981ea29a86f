"""``manage.py up``: one engine, supervised.

Starts a private Redis, the web server, one worker per queue, and beat; starts
again what dies; and takes all with it, however it goes: the children ask the
kernel to be killed when this process dies (``portal.lib.processes``).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from portal.cli.checks import program
from portal.lib.processes import spawn, stop
from portal.lib.starting import Address

ROOT = Path(__file__).resolve().parent.parent.parent

#: Threads per worker; each queue has a process of its own, so none can starve another.
WORKERS = {"poll": 32, "ha": 12, "fence": 16, "resources": 2, "default": 4}

#: Bytes of a message or header from a page; messages that the live channel takes are shorter.
LONGEST_MESSAGE = 65536

#: A child that lived this long has earned a quick restart.
STEADY_S = 10.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0


@dataclass
class Child:
    """One process to keep alive."""

    name: str
    argv: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = FIRST_PAUSE_S
    due: float = 0.0


class Supervisor:
    """Keeps children alive until it is told to stop."""

    def __init__(self, var: Path, engine: str, address: Address, epoch: int) -> None:
        self.var = var
        self.run = var / "run"
        self.engine = engine
        self.address = address
        # PYTHONPATH: the person may have started the portal from any folder.
        self.env = {
            **os.environ,
            "HOLDFAST_EPOCH": str(epoch),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
            # A browser sends the cookies of every program on this address; its line would
            # neither open nor be refused beyond 8 KiB.
            "WEBSOCKETS_MAX_LINE_LENGTH": str(LONGEST_MESSAGE),
        }
        self.children: dict[str, Child] = {}
        self._stopping = False
        self._logs: dict[str, IO[bytes]] = {}

    def add(self, name: str, argv: Sequence[str]) -> None:
        """Keep ``argv`` running under ``name``."""
        self.children[name] = Child(name, argv)

    def add_portal(self, *, with_redis: bool) -> None:
        """Add everything that one engine consists of."""
        if with_redis:
            self.add("redis", redis_argv(self.run / "redis.sock"))
        self.add("web", web_argv(self.address))
        celery = [sys.executable, "-m", "celery", "-A", "portal.celery"]
        for queue, threads in WORKERS.items():
            name = f"poll.{self.engine}" if queue == "poll" else queue
            self.add(
                queue,
                [*celery, "worker", "-Q", name, "-P", "threads", "-c", str(threads),
                 "-n", f"{queue}@{self.engine}", "-l", "WARNING", "--without-gossip",
                 "--without-mingle", "--without-heartbeat"],
            )  # fmt: skip
        self.add("beat", [*celery, "beat", "-S", "portal.cli.beat:LeasedScheduler", "-l", "WARNING",
                          "--pidfile", ""])  # fmt: skip

    def start(self, name: str) -> None:
        """Start one child before the others."""
        self._tend(self.children[name], time.monotonic())

    def last_words(self, name: str) -> str:
        """Return the last line that a child wrote, for an error message."""
        path = self.var / "log" / f"{name}.log"
        lines = path.read_text(errors="replace").strip().splitlines() if path.is_file() else []
        return lines[-1] if lines else ""

    def run_forever(self) -> None:
        """Start everything and keep it alive until SIGINT or SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        while not self._stopping:
            now = time.monotonic()
            for child in self.children.values():
                self._tend(child, now)
            self._write_pids()
            time.sleep(0.05)
        self._stop_all()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _tend(self, child: Child, now: float) -> None:
        process = child.process
        if process is not None and process.poll() is None:
            return
        if process is not None:
            child.pause = (
                FIRST_PAUSE_S
                if now - child.started > STEADY_S
                else min(child.pause * 2, LONGEST_PAUSE_S)
            )
            child.due = now + child.pause
            child.process = None
            say(f"{child.name} ended (code {process.returncode}), starting it again")
        if now >= child.due and not self._held(child.name):
            child.started = now
            child.process = spawn(
                child.argv, env=self.env, cwd=Path.cwd(), log=self._log(child.name)
            )

    def _held(self, name: str) -> bool:
        """Whether somebody asked that ``name`` stay down for a while (tests of outages)."""
        return (self.run / f"hold.{name}").exists()

    def _log(self, name: str) -> IO[bytes]:
        if name not in self._logs:
            self._logs[name] = (self.var / "log" / f"{name}.log").open("ab")
        return self._logs[name]

    def _write_pids(self) -> None:
        lines = "".join(
            f"{child.name} {child.process.pid}\n"
            for child in self.children.values()
            if child.process is not None
        )
        target = self.run / "pids"
        if not target.exists() or target.read_text() != lines:
            draft = target.with_suffix(".new")
            draft.write_text(lines)
            draft.replace(target)

    def _stop_all(self) -> None:
        # Newest first, Redis last: workers say goodbye to a broker that is there.
        running = [child.process for child in self.children.values() if child.process]
        for process in reversed(running[1:]):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        give_up = time.monotonic() + 2.0
        while time.monotonic() < give_up and any(item.poll() is None for item in running[1:]):
            time.sleep(0.05)
        for process in running[1:]:
            process.kill()  # whoever has not gone by now; one after the other would take too long
        for process in reversed(running):
            stop(process, patience=0.5)


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def web_argv(address: Address) -> list[str]:
    """Return the command of the web server."""
    host, port = address
    return [sys.executable, "-m", "uvicorn", "portal.asgi:application",
            "--host", host, "--port", str(port), "--lifespan", "off",
            "--ws", "websockets-sansio", "--ws-max-size", str(LONGEST_MESSAGE), "--no-access-log",
            "--timeout-graceful-shutdown", "2", "--log-level", "warning"]  # fmt: skip


def redis_argv(path: Path) -> list[str]:
    """Return the command of the private Redis: a unix socket, nothing on disk."""
    server = program("redis-server", "redis-server")
    return [server, "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700",
            "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(path.parent),
            "--maxmemory", "64mb", "--maxmemory-policy", "noeviction"]  # fmt: skip
