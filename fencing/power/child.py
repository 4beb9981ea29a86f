"""A short-lived process that answers one question: killed at its deadline, with its children."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """What a process left behind; ``late``: it had to be killed."""

    code: int
    out: bytes
    err: bytes
    late: bool


def ask_child(
    command: Sequence[str], question: bytes, *, deadline: float, environment: Mapping[str, str]
) -> Said:
    """Run ``command`` with ``question`` on stdin and nothing of this process's environment.

    Raises ``OSError`` when it cannot be started.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
        env=dict(environment),
    ) as process:
        late = False
        try:
            out, err = process.communicate(question, timeout=max(deadline, 0))
        except subprocess.TimeoutExpired:
            late = True
            _kill(process)
            out, err = process.communicate()
        finally:
            _kill(process)
    return Said(process.returncode, out, err, late)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the child's whole process group, if it still runs."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
