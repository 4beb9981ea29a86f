"""Children that cannot outlive their parent.

Both supervisors (``manage.py up`` and the box) promise that nothing of theirs
is left even when they are killed with SIGKILL.  The kernel keeps that promise:
each child asks for SIGKILL on its parent's death (``PR_SET_PDEATHSIG`` through
``setpriv``, which sets it after the change of user that would clear it).

The signal is tied to the *thread* that forked: spawn from a thread that lives
as long as the children shall, which is the main thread.
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_SETPRIV = "/usr/bin/setpriv"


def unprivileged_user() -> str | None:
    """Return the user for daemons that must not be root, or None when we are not root."""
    return "nobody" if os.geteuid() == 0 else None


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: IO[bytes] | None = None,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``argv`` so that it dies with the calling thread; ``user`` only as root.

    Output goes to ``log`` (default: nowhere); the child gets its own session,
    so that Ctrl-C reaches the supervisor alone.
    """
    wrap = [_SETPRIV]
    if user is not None:
        entry = pwd.getpwnam(user)
        wrap += [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    wrap += ["--pdeathsig", "KILL", "--"]
    return subprocess.Popen(
        [*wrap, *argv],
        env=dict(env) if env is not None else None,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.DEVNULL,
        stderr=subprocess.STDOUT if log else subprocess.DEVNULL,
        start_new_session=True,
    )


def stop(child: subprocess.Popen[bytes], *, patience: float = 3.0) -> None:
    """Ask ``child`` to end, and after ``patience`` seconds make it."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGCONT)  # a frozen child cannot hear SIGTERM
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
