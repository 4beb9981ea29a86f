"""The memory adapters behind a world's checks and hooks, and a clock that is moved by hand."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Protocol

from fencing.domain.power import PowerState
from fencing.power.memory import MemoryPower
from fencing.power.port import Bmc, Reading
from hosts.domain.looks import Look, Stamp
from hosts.hypervisor.memory import MemoryHost, MemoryHypervisor
from hosts.hypervisor.port import Definition, GuestSpec, NoAnswer, Progress, Target, Transfer

BEGIN = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class HandClock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.time = BEGIN

    def now(self) -> datetime:
        return self.time

    def seconds(self) -> float:
        """The time as a number."""
        return self.time.timestamp()

    def since(self, moment: datetime) -> float:
        """Seconds since ``moment``."""
        return (self.time - moment).total_seconds()

    def forward(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.time += timedelta(seconds=seconds)


class Watcher(Protocol):
    """What the watched adapters need of a world."""

    clock: HandClock
    hosts: dict[str, MemoryHost]

    def call(self, kind: str, where: str) -> AbstractContextManager[None]:
        """Watch one call into an adapter."""

    def power_moved(self, address: str, port: int, state: PowerState, /) -> None:
        """A relay moved."""


class WatchedHypervisor:
    """The memory adapter behind the world's checks and hooks."""

    def __init__(self, world: Watcher, target: Target) -> None:
        self._world = world
        self._name = target.name
        self._inner = MemoryHypervisor(
            target, world.hosts[target.name], None, lambda peer: world.hosts.get(peer.name)
        )

    def look(self, *, deadline: float, on_slow: Callable[[], None] | None = None) -> Look:
        with self._world.call("look", self._name):
            return self._inner.look(deadline=deadline, on_slow=on_slow)

    def place_marker(self, token: str, *, deadline: float) -> None:
        with self._world.call("place_marker", self._name):
            self._inner.place_marker(token, deadline=deadline)

    def remove_marker(self, token: str, *, deadline: float) -> None:
        with self._world.call("remove_marker", self._name):
            self._inner.remove_marker(token, deadline=deadline)

    def definition(self, uuid: str, *, deadline: float) -> Definition:
        with self._world.call("definition", self._name):
            return self._inner.definition(uuid, deadline=deadline)

    def adopt(self, uuid: str, stamp: Stamp, *, deadline: float) -> None:
        with self._world.call("adopt", self._name):
            self._inner.adopt(uuid, stamp, deadline=deadline)

    def start(self, guest: GuestSpec, *, deadline: float) -> None:
        begun = self._world.clock.time
        with self._world.call("start", self._name):
            if (self._world.clock.time - begun).total_seconds() >= deadline:
                # As the real adapter: a step whose deadline has passed is not sent.
                raise NoAnswer(f"{self._name}: not sent in time")
            self._inner.start(guest, deadline=deadline)

    def undefine(self, uuid: str, *, deadline: float) -> None:
        with self._world.call("undefine", self._name):
            self._inner.undefine(uuid, deadline=deadline)

    def shutdown(self, uuid: str, *, deadline: float) -> None:
        with self._world.call("shutdown", self._name):
            self._inner.shutdown(uuid, deadline=deadline)

    def destroy(self, uuid: str, *, deadline: float) -> None:
        with self._world.call("destroy", self._name):
            self._inner.destroy(uuid, deadline=deadline)

    def suspend(self, uuid: str, *, deadline: float) -> None:
        with self._world.call("suspend", self._name):
            self._inner.suspend(uuid, deadline=deadline)

    def resume(self, uuid: str, *, deadline: float) -> None:
        with self._world.call("resume", self._name):
            self._inner.resume(uuid, deadline=deadline)

    def migrate(self, uuid: str, transfer: Transfer, *, deadline: float) -> None:
        with self._world.call("migrate", self._name):
            self._inner.migrate(uuid, transfer, deadline=deadline)

    def progress(self, uuid: str, *, deadline: float) -> Progress | None:
        with self._world.call("progress", self._name):
            return self._inner.progress(uuid, deadline=deadline)

    def cancel_migration(self, uuid: str, *, deadline: float) -> None:
        with self._world.call("cancel_migration", self._name):
            self._inner.cancel_migration(uuid, deadline=deadline)

    def hurry_migration(self, uuid: str, *, deadline: float) -> None:
        with self._world.call("hurry_migration", self._name):
            self._inner.hurry_migration(uuid, deadline=deadline)

    def disarm_autostart(self, uuid: str, *, deadline: float) -> None:
        with self._world.call("disarm", self._name):
            self._inner.disarm_autostart(uuid, deadline=deadline)

    def close(self) -> None:
        """Nothing is open."""


class WatchedPower(MemoryPower):
    """The memory BMCs behind the world's checks and hooks."""

    def __init__(self, world: Watcher) -> None:
        super().__init__(now=world.clock.seconds, on_power=world.power_moved)
        self.stubborn: set[str] = set()  # machines that ignore the power button
        self._world = world

    def read(self, bmc: Bmc, *, deadline: float) -> Reading:
        with self._world.call("read", bmc.address):
            return super().read(bmc, deadline=deadline)

    def turn_off(self, bmc: Bmc, *, deadline: float) -> None:
        with self._world.call("turn_off", bmc.address):
            super().turn_off(bmc, deadline=deadline)

    def ask_off(self, bmc: Bmc, *, deadline: float) -> None:
        with self._world.call("ask_off", bmc.address):
            if bmc.address not in self.stubborn:
                super().turn_off(bmc, deadline=deadline)

    def turn_on(self, bmc: Bmc, *, deadline: float) -> None:
        with self._world.call("turn_on", bmc.address):
            super().turn_on(bmc, deadline=deadline)
