"""One process of the box, and the news of its death.

A child that was not waited for keeps its pid, and a pidfd tells when it ends:
so nothing here can signal a process that is not ours.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from portal.lib.processes import spawn, unprivileged_user


class Child:
    """One process, unprivileged unless ``as_root``; call from the main thread, inside the loop.

    ``on_death`` is called when it ends without :meth:`kill`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        on_death: Callable[[], None],
        as_root: bool = False,
    ) -> None:
        user = None if as_root else unprivileged_user()
        with log.open("ab") as out:
            self._process = spawn(argv, env=env, log=out, user=user)
        self.pid = self._process.pid
        self._on_death = on_death
        self._wanted = False
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @property
    def running(self) -> bool:
        """Whether it has not ended (a frozen one runs)."""
        return not self._ended.is_set()

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL it and wait until it is gone; nobody is told."""
        self._wanted = True
        self._process.kill()
        await self._ended.wait()

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()
        self._ended.set()
        if not self._wanted:
            self._on_death()
