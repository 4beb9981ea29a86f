"""Starting a lab from this machine, asking it for faults, and stopping it without a trace.

The lab's processes live in namespaces under one ``unshare``, which dies with the process
that started it: a SIGKILL leaves no process, mount, namespace or cable behind.  Only the
files under ``layout.RUN`` stay, until the next start.
"""

import contextlib
import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from portal.demo.control import Control
from portal.lib.processes import spawn, stop
from tests.lab import disks, net, parts
from tests.lab.layout import HOME, NETWORK, RUN, LabHost, Plan, control_socket, needs

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120.0


class NoLab(Exception):
    """The lab cannot start; the text says why in one sentence."""


class LabControl(Control):
    """Asks the lab's supervisor; see ``tests.lab.words``."""

    def __init__(self) -> None:
        super().__init__(RUN)

    def _socket(self) -> str:
        return str(control_socket())

    def on(self, host: LabHost | str, *argv: str, deadline: float = 60.0) -> tuple[int, str]:
        """Run a program on a host; return its exit code and all that it printed."""
        name = host if isinstance(host, str) else host.name
        answer = self.do("host.run", host=name, argv=list(argv), deadline=deadline)
        return int(answer["code"]), str(answer["out"])


def as_engine(*argv: str) -> list[str]:
    """Return how to run ``argv`` with the engine's certificate in its own /etc/pki."""
    script = 'mount --make-rprivate / && mount --bind "$0" /etc && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(disks.engine_etc()), *argv]


@contextlib.contextmanager
def running(plan: Plan) -> Iterator[LabControl]:
    """Run a lab until the block ends; NoLab says why there can be none."""
    reason = needs()
    if reason:
        raise NoLab(reason)
    with _sole_owner():
        try:
            parts.make()
            disks.lay_out(plan)
        except parts.NoParts as error:
            raise NoLab(f"a part of the lab could not be made: {error}") from None
        yield from _run(plan)


def _run(plan: Plan) -> Iterator[LabControl]:
    with (RUN / "lab.log").open("ab") as log:
        tree = spawn(
            [
                *("unshare", "--net", "--pid", "--mount", "--fork", "--kill-child"),
                *("--mount-proc", "tini", "--", sys.executable, "-m", "tests.lab.supervisor"),
                *plan.arguments(),
            ],
            cwd=ROOT,
            log=log,
        )
    try:
        _lead_in(tree)
        _wait_ready(tree)
        yield LabControl()
    finally:
        disks.keep_capabilities(plan.machines[0])
        tree.kill()  # and the kernel takes the whole tree with it
        stop(tree)
        net.take_out()
        disks.clear()


def _lead_in(tree: "subprocess.Popen[bytes]") -> None:
    while tree.poll() is None and not net.own_network(tree.pid):
        time.sleep(0.005)
    if tree.poll() is None:
        try:
            net.lead_in(tree.pid)
        except parts.NoParts as error:
            raise NoLab(f"the cable to the lab could not be laid: {error}") from None


def _wait_ready(tree: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + READY_S
    while not control_socket().exists():
        if tree.poll() is not None or time.monotonic() > give_up:
            said = (RUN / "lab.log").read_text(errors="replace").strip().splitlines()
            raise NoLab(f"the lab did not come up: {said[-1] if said else 'it said nothing'}")
        time.sleep(0.02)


@contextlib.contextmanager
def _sole_owner() -> Iterator[None]:
    """Hold the lab's lock: there is one network 10.77.0.0/24."""
    HOME.mkdir(mode=0o711, parents=True, exist_ok=True)
    HOME.chmod(0o711)
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NoLab("a lab runs already on this machine: stop it first") from None
        net.take_out()
        if parts.run("ip", "-4", "route", "show", NETWORK):
            raise NoLab(f"this machine uses {NETWORK} itself, and the lab needs it")
        yield
