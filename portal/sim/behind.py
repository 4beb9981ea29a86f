"""What a host's libvirtd answers: the truth, unless it has lost sight of guests."""

from collections.abc import Callable
from dataclasses import replace

from hosts.domain.looks import GuestReason, GuestState, Look, SeenGuest
from hosts.hypervisor.memory import MemoryHost, MemoryHypervisor
from hosts.hypervisor.port import Target


class Behind(MemoryHypervisor):
    """The hypervisor of one machine of the world; ``forgotten`` are the UUIDs out of its sight.

    A forgotten guest executes, and libvirtd calls it shut off without having
    seen it end.  A destroy still reaches its process; nothing else does.
    """

    def __init__(
        self,
        target: Target,
        host: MemoryHost,
        forgotten: set[str],
        peers: Callable[[Target], MemoryHost | None],
    ) -> None:
        super().__init__(target, host, None, peers)
        self._forgotten = forgotten

    def look(self, *, deadline: float, on_slow: Callable[[], None] | None = None) -> Look:
        answer = super().look(deadline=deadline, on_slow=on_slow)
        if not self._forgotten:
            return answer
        return replace(answer, guests=tuple(map(self._as_told, answer.guests)))

    def destroy(self, uuid: str, *, deadline: float) -> None:
        if uuid not in self._forgotten:
            super().destroy(uuid, deadline=deadline)
            return

        def work() -> None:
            self._forgotten.discard(uuid)
            if super(Behind, self)._guest(uuid).executes:  # libvirtd still has seen no ending
                self._set(uuid, GuestState.SHUT_OFF, GuestReason.DAEMON)

        self._do(work)

    def _start(self, defined: SeenGuest) -> None:
        super()._start(defined)
        self._forgotten.discard(defined.uuid)

    def _guest(self, uuid: str) -> SeenGuest:
        return self._as_told(super()._guest(uuid))

    def _as_told(self, guest: SeenGuest) -> SeenGuest:
        if guest.uuid not in self._forgotten:
            return guest
        if not guest.executes:
            self._forgotten.discard(guest.uuid)  # it ended: there is nothing to lose sight of
            return guest
        return replace(guest, state=GuestState.SHUT_OFF, reason=GuestReason.DAEMON)
