"""Both hardware ports of the full depth: every call takes virtual time, in its fiber."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fencing.power.port import Bmc, Reading
from fencing.recovery.port import Tried
from hosts.domain.looks import Look, Stamp
from hosts.hypervisor.memory import MemoryHypervisor
from hosts.hypervisor.port import Definition, GuestSpec, Progress, Target, Transfer
from portal.sim import ssh, wire_leases
from portal.sim.fibers import Fibers
from portal.sim.wire import Wire


class Depth(Protocol):
    """What the ports need of the portal that calls them."""

    wire: Wire
    fibers: Fibers

    def may_die(self) -> None:
        """Die here if the schedule says so."""


class SimHypervisor:
    """The hypervisor port over the wire; each call waits in its fiber."""

    def __init__(self, portal: Depth, target: Target) -> None:
        self._portal, self._name = portal, target.name

    def look(self, *, deadline: float, on_slow: Callable[[], None] | None = None) -> Look:
        self._portal.may_die()
        return self._portal.fibers.drive(self._portal.wire.look(self._name, deadline, on_slow))

    def place_marker(self, token: str, *, deadline: float) -> None:
        wire = self._portal.wire
        self._portal.fibers.drive(wire.place_marker(self._name, token, deadline))

    def remove_marker(self, token: str, *, deadline: float) -> None:
        self._act(lambda it: it.remove_marker(token, deadline=deadline), deadline)

    def definition(self, uuid: str, *, deadline: float) -> Definition:
        found: list[Definition] = []
        self._act(lambda it: found.append(it.definition(uuid, deadline=deadline)), deadline)
        return found[0]

    def adopt(self, uuid: str, stamp: Stamp, *, deadline: float) -> None:
        self._act(lambda it: it.adopt(uuid, stamp, deadline=deadline), deadline)

    def _act(self, work: Callable[[MemoryHypervisor], None], deadline: float) -> None:
        self._portal.may_die()
        self._portal.fibers.drive(self._portal.wire.act(self._name, deadline, work))
        self._portal.may_die()

    def start(self, guest: GuestSpec, *, deadline: float) -> None:
        self._portal.may_die()
        self._portal.fibers.drive(self._portal.wire.start(self._name, guest, deadline))
        self._portal.may_die()

    def _small(self, kind: str, uuid: str, deadline: float) -> None:
        self._portal.may_die()
        self._portal.fibers.drive(self._portal.wire.small(self._name, kind, uuid, deadline))
        self._portal.may_die()

    def migrate(self, uuid: str, transfer: Transfer, *, deadline: float) -> None:
        self._portal.may_die()
        self._portal.fibers.drive(self._portal.wire.migrate(self._name, uuid, transfer, deadline))
        self._portal.may_die()

    def progress(self, uuid: str, *, deadline: float) -> Progress | None:
        self._portal.may_die()
        return self._portal.fibers.drive(self._portal.wire.progress(self._name, uuid, deadline))

    def cancel_migration(self, uuid: str, *, deadline: float) -> None:
        self._small("cancel_migration", uuid, deadline)

    def hurry_migration(self, uuid: str, *, deadline: float) -> None:
        self._small("hurry_migration", uuid, deadline)

    def undefine(self, uuid: str, *, deadline: float) -> None:
        self._small("undefine", uuid, deadline)

    def shutdown(self, uuid: str, *, deadline: float) -> None:
        self._small("shutdown", uuid, deadline)

    def destroy(self, uuid: str, *, deadline: float) -> None:
        self._small("stop", uuid, deadline)

    def suspend(self, uuid: str, *, deadline: float) -> None:
        self._small("suspend", uuid, deadline)

    def resume(self, uuid: str, *, deadline: float) -> None:
        self._small("resume", uuid, deadline)

    def disarm_autostart(self, uuid: str, *, deadline: float) -> None:
        self._small("disarm", uuid, deadline)

    def close(self) -> None:
        """Nothing is open."""


class SimStorage:
    """The storage port over the wire."""

    def __init__(self, portal: Depth) -> None:
        self._portal = portal

    def sectors(
        self, reader: Target, domain: str, slots: Sequence[int], *, deadline: float
    ) -> tuple[bytes, ...]:
        self._portal.may_die()
        wire = self._portal.wire
        return self._portal.fibers.drive(wire.sectors(reader.name, domain, slots, deadline))

    def leases(
        self, reader: Target, domain: str, slots: Sequence[int], *, deadline: float
    ) -> tuple[bytes, ...]:
        self._portal.may_die()
        wire = self._portal.wire
        return self._portal.fibers.drive(wire.leases(reader.name, domain, slots, deadline))

    def write_sector(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        self._portal.may_die()
        wire = self._portal.wire
        self._portal.fibers.drive(wire.write_sector(writer.name, domain, slot, raw, deadline))
        self._portal.may_die()

    def index(self, reader: Target, domain: str, slots: int, *, deadline: float) -> bytes:
        self._portal.may_die()
        wire = self._portal.wire
        return self._portal.fibers.drive(
            wire_leases.index(wire, reader.name, domain, slots, deadline)
        )

    def write_index(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        self._portal.may_die()
        wire = self._portal.wire
        self._portal.fibers.drive(
            wire_leases.write_index(wire, writer.name, (domain, slot), raw, deadline)
        )
        self._portal.may_die()

    def write_slot(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        self._portal.may_die()
        wire = self._portal.wire
        self._portal.fibers.drive(
            wire_leases.write_slot(wire, writer.name, (domain, slot), raw, deadline)
        )
        self._portal.may_die()

    def written(
        self, reader: Target, disks: Sequence[str], *, deadline: float
    ) -> Mapping[str, float]:
        self._portal.may_die()
        return self._portal.fibers.drive(self._portal.wire.written(reader.name, disks, deadline))


class SimRestarter:
    """SSH over the wire."""

    def __init__(self, portal: Depth) -> None:
        self._portal = portal

    def restart(self, target: Target, *, deadline: float) -> Tried:
        self._portal.may_die()
        tried = self._portal.fibers.drive(ssh.restart(self._portal.wire, target.name, deadline))
        self._portal.may_die()
        return tried


class SimPower:
    """The power port over the wire."""

    def __init__(self, portal: Depth) -> None:
        self._portal = portal

    def read(self, bmc: Bmc, *, deadline: float) -> Reading:
        power = self._portal.wire.world.power
        reading: Reading = self._ask(lambda: power.read(bmc, deadline=deadline), deadline)
        return reading

    def turn_off(self, bmc: Bmc, *, deadline: float) -> None:
        self._ask(lambda: self._portal.wire.turn_off(bmc, deadline), deadline)

    def ask_off(self, bmc: Bmc, *, deadline: float) -> None:
        power = self._portal.wire.world.power
        self._ask(lambda: power.ask_off(bmc, deadline=deadline), deadline)

    def turn_on(self, bmc: Bmc, *, deadline: float) -> None:
        power = self._portal.wire.world.power
        self._ask(lambda: power.turn_on(bmc, deadline=deadline), deadline)

    def _ask(self, call: Callable[[], Any], deadline: float) -> Any:
        self._portal.may_die()
        answer = self._portal.fibers.drive(self._portal.wire.bmc(call, deadline))
        self._portal.may_die()
        return answer


class CountedIds:
    """Names that are the same in every run."""

    def __init__(self) -> None:
        self._count = 0

    def uuid(self) -> str:
        self._count += 1
        return f"00000000-0000-4000-8000-{self._count:012x}"

    def token(self) -> str:
        self._count += 1
        return f"{self._count:08x}"


class NobodyWatches:
    """No page is open in a simulation."""

    def push(self, message: dict[str, str | int]) -> None:
        """Forget it."""
