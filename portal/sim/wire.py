"""Between portal and machines: every question takes time, and may go unanswered.

Each call is a generator that yields the seconds to wait, so that both depths
wait in the same way: the full one in a fiber, the pure one in its own
generator.  A read is answered as things were when it was asked; what happens
until the answer is written down makes it stale, as in life.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial, wraps
from random import Random
from typing import Concatenate, ParamSpec, TypeVar

from fencing.domain.power import PowerProblem
from fencing.power.port import Bmc, PowerError
from hosts.domain.looks import KernelSign, Look
from hosts.hypervisor.memory import MemoryHypervisor
from hosts.hypervisor.port import (
    GuestSpec,
    HypervisorError,
    NoAnswer,
    NotSent,
    Progress,
    Silent,
    Target,
    Transfer,
)
from hosts.storage.port import StorageError
from portal.sim.behind import Behind
from portal.sim.engine import Node
from portal.sim.world import World

T = TypeVar("T")
P = ParamSpec("P")
Wait = Generator[float, None, T]

LOOK_S = 0.02
SLOW_S = 0.3
AGAIN_S = 1.0
ACT_S = 0.05
START_S = 0.5
BMC_S = 0.1
#: Chance, in random schedules, that a worker is paused before it may write an answer down.
PAUSE_CHANCE = 0.02
PAUSE_MAX_S = 12.0


def _answered(
    call: Callable[Concatenate["Wire", P], Wait[T]],
) -> Callable[Concatenate["Wire", P], Wait[T]]:
    """An engine that is stopped learns of the answer, or of the silence, when it goes on."""

    @wraps(call)
    def told(wire: "Wire", /, *args: P.args, **kwargs: P.kwargs) -> Wait[T]:
        try:
            answer = yield from call(wire, *args, **kwargs)
        except (HypervisorError, PowerError, StorageError):
            yield from wire.until_heard()
            raise
        yield from wire.until_heard()
        return answer

    return told


class Wire:
    """The calls of both ports over one world; ``random`` is None where nothing is left to luck."""

    def __init__(self, world: World, random: Random | None = None) -> None:
        self.world = world
        self._random = random
        self.cuts: list[tuple[int, str]] = []  # (ms, BMC address) of every off command taken
        self.asleep_s: Callable[[], float] = lambda: 0.0  # how long the engine that asks is stopped
        self.on_answer: Callable[[], None] = lambda: None  # told before the engine is
        self.engine: Callable[[], Node] = lambda: Node("")  # the one that asks
        self._lost: set[tuple[str, str]] = set()  # (engine, host): its connection is known dead
        self._behind = {
            name: Behind(
                Target(world.host_pks[name], name, ""),
                host,
                world.forgotten[name],
                lambda target: world.hosts.get(target.name),
            )
            for name, host in world.hosts.items()
        }

    def _pause(self) -> float:
        """A worker that is not scheduled for a while, between question and record."""
        if self._random is None or self._random.random() >= PAUSE_CHANCE:
            return 0
        return self._random.uniform(0, PAUSE_MAX_S)

    def until_heard(self) -> Wait[None]:
        """Wait until whoever has asked can hear the answer."""
        while (left := self.asleep_s()) > 0:
            yield left
        self.on_answer()

    def _out_of_reach(self, name: str) -> bool:
        host = self.world.hosts[name]
        return host.isolated or not host.alive or self.engine().cut_off

    @_answered
    def look(
        self, name: str, deadline: float, on_slow: Callable[[], None] | None = None
    ) -> Wait[Look]:
        """Look at a host; silence lasts until the deadline, a refusal comes at once."""
        yield LOOK_S / 2
        try:
            answer = self._ask(name, deadline)
        except Silent as silence:
            self._lost.add((self.engine().name, name))
            refused = silence.kernel is KernelSign.ALIVE and not self.world.hosts[name].hung
            if refused:
                raise
            yield SLOW_S - LOOK_S / 2
            if on_slow is not None and not self.asleep_s():
                self.on_answer()
                on_slow()
            answer = yield from self._knock_again(name, deadline)
        self._lost.discard((self.engine().name, name))
        yield LOOK_S / 2 + self._pause()
        return answer

    def _ask(self, name: str, deadline: float) -> Look:
        if self.engine().cut_off:
            raise Silent(f"{name}: no answer", KernelSign.UNKNOWN)
        return self._behind[name].look(deadline=deadline)

    def _knock_again(self, name: str, deadline: float) -> Wait[Look]:
        """TCP sends its first packet again after a second; later answers come too late."""
        yield AGAIN_S - SLOW_S
        try:
            return self._ask(name, deadline)
        except Silent:
            yield deadline - AGAIN_S
            raise

    @_answered
    def act(
        self,
        name: str,
        deadline: float,
        work: Callable[[MemoryHypervisor], None],
        takes_s: float = ACT_S,
    ) -> Wait[None]:
        """Do something on a host; the answer may be lost after the deed."""
        if self._out_of_reach(name):
            mine = (self.engine().name, name)
            was_connected = mine not in self._lost
            self._lost.add(mine)
            yield deadline
            if was_connected:
                raise NoAnswer(f"{name}: no answer")  # sent into a connection that was dead
            raise NotSent(f"{name}: no connection")
        yield takes_s / 2
        if self._out_of_reach(name):
            yield deadline - takes_s / 2
            raise NoAnswer(f"{name}: no answer")
        try:
            work(self._behind[name])
        except NoAnswer:
            yield deadline - takes_s / 2
            raise
        finally:
            self.world.version += 1
        yield takes_s / 2
        if self._out_of_reach(name):
            yield deadline - takes_s
            raise NoAnswer(f"{name}: the answer was lost")
        yield self._pause()

    def start(self, name: str, spec: GuestSpec, deadline: float) -> Wait[None]:
        """Define and create a copy."""

        def create(hypervisor: MemoryHypervisor) -> None:
            try:
                hypervisor.start(spec, deadline=deadline)
            except NoAnswer:
                if not self.world.hosts[name].hung:
                    self.world.hanging.add((name, spec.uuid))
                raise
            self.world.outside.discard((spec.name, name))

        yield from self.act(name, deadline, create, START_S)

    def sectors(
        self, reader: str, domain: str, slots: Sequence[int], deadline: float
    ) -> Wait[tuple[bytes, ...]]:
        """Read heartbeats as ``reader`` sees them."""
        memory = self.world.storage.memory
        return (
            yield from self.through(
                reader,
                deadline,
                lambda target: memory.sectors(target, domain, slots, deadline=deadline),
            )
        )

    def leases(
        self, reader: str, domain: str, slots: Sequence[int], deadline: float
    ) -> Wait[tuple[bytes, ...]]:
        """Read who holds leases, as ``reader`` sees them."""
        memory = self.world.storage.memory
        return (
            yield from self.through(
                reader,
                deadline,
                lambda target: memory.leases(target, domain, slots, deadline=deadline),
            )
        )

    def write(self, writer: str, deadline: float, work: Callable[[Target], None]) -> Wait[None]:
        """Write to shared storage through ``writer``; the answer may be lost after the deed."""
        yield from self.through(writer, deadline, work)
        if self._out_of_reach(writer):
            raise StorageError(f"{writer}: the answer was lost")

    def write_sector(
        self, writer: str, domain: str, slot: int, raw: bytes, deadline: float
    ) -> Wait[None]:
        """Write a host's record."""
        memory = self.world.storage.memory
        yield from self.write(
            writer,
            deadline,
            lambda target: memory.write_sector(target, domain, slot, raw, deadline=deadline),
        )

    def written(
        self, reader: str, disks: Sequence[str], deadline: float
    ) -> Wait[Mapping[str, float]]:
        """Ask when disks were last written, as ``reader`` sees them."""
        memory = self.world.storage.memory
        ask = partial(memory.written, disks=disks, deadline=deadline)
        return (yield from self.through(reader, deadline, ask))

    @_answered
    def through(self, reader: str, deadline: float, read: Callable[[Target], T]) -> Wait[T]:
        """Ask something of shared storage through ``reader``."""
        yield LOOK_S / 2
        if self._out_of_reach(reader) or self.world.hosts[reader].hung:
            yield deadline - LOOK_S / 2
            raise StorageError(f"{reader}: no answer")
        answer = read(Target(self.world.host_pks[reader], reader, ""))
        yield LOOK_S / 2 + self._pause()
        return answer

    def small(self, name: str, kind: str, uuid: str, deadline: float) -> Wait[None]:
        """Do one of the small acts, by the name of its operation."""
        method = {"stop": "destroy", "disarm": "disarm_autostart"}.get(kind, kind)
        yield from self.act(name, deadline, lambda it: getattr(it, method)(uuid, deadline=deadline))

    def migrate(self, name: str, uuid: str, transfer: Transfer, deadline: float) -> Wait[None]:
        """Begin a live migration."""
        yield from self.act(
            name, deadline, lambda it: it.migrate(uuid, transfer, deadline=deadline)
        )

    def progress(self, name: str, uuid: str, deadline: float) -> Wait[Progress | None]:
        """Ask how far a migration is."""
        found: list[Progress | None] = []
        yield from self.act(
            name, deadline, lambda it: found.append(it.progress(uuid, deadline=deadline))
        )
        return found[0]

    def place_marker(self, name: str, token: str, deadline: float) -> Wait[None]:
        """Place the boot marker."""
        yield from self.act(name, deadline, lambda it: it.place_marker(token, deadline=deadline))

    def turn_off(self, bmc: Bmc, deadline: float) -> None:
        """Send the command, with a note for the oracle that the portal itself cut this power."""
        was_on = self.world.hosts[self.home_of(bmc.address)].powered
        self.world.power.turn_off(bmc, deadline=deadline)
        if was_on:
            self.cuts.append((self.world.line.ms, bmc.address))
            self.world.version += 1

    def home_of(self, address: str) -> str:
        """Return whose power the BMC at this address switches, after any swap of cables."""
        return self.world.wired_to.get(address, address)

    @_answered
    def bmc(self, call: Callable[[], T], deadline: float) -> Wait[T]:
        """Ask or command a BMC."""
        yield BMC_S / 2
        try:
            if self.engine().cut_off:
                raise PowerError(PowerProblem.UNREACHABLE, "the BMC gives no answer")
            answer = call()
        except PowerError as error:
            if error.problem is PowerProblem.UNREACHABLE:
                yield deadline - BMC_S / 2
            raise
        yield BMC_S / 2 + self._pause()
        return answer


__all__ = ["HypervisorError", "Wait", "Wire"]
