"""The pure depth: the domain alone decides, rows are frozen dataclasses, no table is touched."""

from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

from fencing.domain import failover
from fencing.domain import intentions as wish
from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ControllerFacts
from fencing.domain.policy import layered
from fencing.domain.watching import next_reading
from hosts.domain.states import HostEvent, HostStatus
from portal.lib.ha.states import HaEvent, HaState
from portal.sim import (
    pure_admin,
    pure_guests,
    pure_inventory,
    pure_leases,
    pure_looks,
    pure_migrating,
    pure_owners,
    pure_pauses,
    pure_power,
    pure_readings,
    pure_recover,
    pure_restore,
    pure_runs,
    pure_storage,
)
from portal.sim.abilities import able_of
from portal.sim.engine import BEAT, Engines
from portal.sim.ledger import Book
from portal.sim.portal import Crash, NoDatabase, Start, View
from portal.sim.pure_closing import all_is_calm, close_round
from portal.sim.pure_view import view_of
from portal.sim.pure_work import ADVANCE, LOOK, ROUND, ask, cancel_unclaimed
from portal.sim.rows import HostRow
from portal.sim.timeline import EPOCH
from portal.sim.wire import Wire
from portal.tasks import LOST_AFTER
from vms.domain.states import RunState, VmState

Task = Generator[float, None, None]


class PurePortal:
    """The portal of the pure depth; see :class:`portal.sim.portal.Portal`."""

    def __init__(self, wire: Wire, start: Start, random: Random | None) -> None:
        self.wire, self.line = wire, wire.world.line
        self.engines = Engines(self.line, self.run, start.engines, random)
        self.book = Book(self.line, layered(start.policy), self._wake, self.engines)
        self.book.armed, self.book.rules = start.armed, start.rules
        self.book.own_uuid = wire.world.own_uuid
        self.crash_in: int | None = None  # intentions (here) until the engine dies
        self._backups: dict[int, pure_restore.Backup] = {}
        # The book's changes at the last round that wished for nothing, and for how long it holds.
        self._quiet_at, self._quiet_until = -1, EPOCH
        wire.asleep_s, wire.on_answer = self.engines.asleep_s, self._transact
        wire.engine = lambda: self.engines.now
        self._fill(start)

    def _fill(self, start: Start) -> None:
        now, world = self.line.now(), self.wire.world
        for name, pk in world.host_pks.items():
            host, on = world.hosts[name], world.hosts[name].powered
            row = HostRow(
                pk, name, host.memory_mib, host.vcpus, now, now if on else None, host.uuid,
                host.marker or "", host.uptime() if on else None,
                status=HostStatus.UP if on else HostStatus.DOWN,
                ha=HaState.AVAILABLE if on else HaState.INELIGIBLE, ha_since=now,
                able=able_of(host), watchdog=name in world.vouched,
                is_self=name == start.homes.get(world.own_vm, ""),
            )  # fmt: skip
            self.book.hosts[pk], self.book.turns[pk] = row, (now, 0)
            if name in world.bmcs:
                self.book.controllers[pk] = ControllerFacts(pk, 1, trusted=True)
        pure_storage.fill(self.book, world)
        for vm in (item for item in world.vms.values() if item.name not in start.absent):
            home = start.homes.get(vm.name)
            wanted_up = start.wanted_up(vm.name)
            self.book.vms[vm.pk] = pure_inventory.new_row(vm, world.own_uuid, wanted_up=wanted_up)
            pure_leases.fill(self.book, vm)
            if home is not None:
                pure_runs.open_run(self.book, vm.pk, world.host_pks[home], now, RunState.RUNNING)
                pure_leases.carry(self.book, vm.pk)
                self.book.set_state(vm.pk, VmState.UP, "")

    # Tasks

    def _wake(self, task: str, *args: int, at: Any = None, to: str = "") -> None:
        self.engines.send(task, args, at, to)

    def run(self, task: str, args: tuple[int, ...]) -> None:
        """Start a task by its name; without a database it ends before it has done anything."""
        if self.engines.database_is_lost:
            return
        if task == ROUND:
            with suppress(Crash):
                self._round()
        elif task == "portal.sweep":
            self._sweep()
        elif task == BEAT:
            self._spawn(pure_owners.beat(self.book, self.wire))
        elif task == LOOK:
            self._spawn(pure_looks.look(self.book, self.wire, *args))
        elif task == ADVANCE["vms"]:
            self._spawn(pure_guests.advance(self.book, self.wire, *args))
        else:
            self._spawn(pure_power.advance(self.book, self.wire, *args))

    def _spawn(self, task: Task) -> None:
        engines, line, node = self.engines, self.line, self.engines.now
        life = node.life

        def step() -> None:
            if node.life != life:
                return  # killed between two lines
            before, engines.now = engines.now, node
            try:
                line.after(next(task), step)
            except (StopIteration, NoDatabase):
                pass
            finally:
                engines.now = before

        step()

    def _transact(self) -> None:
        if self.engines.database_is_lost:
            raise NoDatabase

    def _sweep(self) -> None:
        book = self.book
        book.remembered = book.emitted
        late = book.now() - LOST_AFTER
        pure_owners.bury(book, late)
        pure_owners.assign(book)
        for host, (due_at, _) in book.turns.items():
            if due_at <= late:
                self._wake(LOOK, host, to=book.hosts[host].owner)
        for table in ("vms", "fencing"):
            due = [op for op in book.ops.values() if op.table == table and op.due_at <= late]
            for op in sorted(due, key=lambda op: op.due_at):
                self._wake(ADVANCE[table], op.pk)
        self._wake(ROUND, 1)

    # The round

    def _round(self) -> None:
        """Plan and write the intentions down; nothing is planned where nothing has changed."""
        book = self.book
        if book.changes == self._quiet_at and book.now() < self._quiet_until:
            return
        if not self.wire.world.engine_cut_off and not self.engines.now.cut_off:
            book.storage.witness_seen[book.engine] = book.now()
        facts = book.facts()
        wishes = failover.plan(facts, book.now())
        for item in wishes:
            self._crash_here()
            _WRITERS[type(item)](book, item)
        close_round(book)
        if not wishes and all_is_calm(book):
            self._quiet_at, self._quiet_until = book.changes, next_reading(facts)

    def _crash_here(self) -> None:
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.crash_in = None
                self.engines.crash()
                raise Crash

    # What a person does

    def admin(self, word: str, args: Mapping[str, Any]) -> None:
        """Do what a person does through the portal, if it can be written down."""
        if self.engines.database_is_lost:
            return
        if word == "add_vm":
            pure_inventory.add(self.book, self.wire.world.vms[args["vm"]])
        elif args.get("vm", "") in {"", *self._looked_after()}:
            pure_admin.WORDS[word](self.book, **args)

    def _looked_after(self) -> set[str]:
        return {vm.name for vm in self.book.vms.values() if not vm.removed}

    def kill(self, engine: str) -> None:
        """Let this engine die at once, with all that it waits for."""
        with self.engines.being(self.engines.node(engine)):
            self.engines.crash()

    def keep_backup(self) -> None:
        """Keep the whole ledger."""
        self._backups[self.line.ms] = pure_restore.copied(self.book)

    def restore(self, at_ms: int) -> None:
        """Put a kept ledger back under an engine that starts anew."""
        for node in self.engines.nodes:
            self.kill(node.name)
        pure_restore.put_back(self._backups[at_ms], self.book)
        pure_restore.check(self.book)
        self.start_engines()

    def start_engines(self) -> None:
        """Let every dead engine live again: what its dead life had claimed is due at once."""
        book, now = self.book, self.line.now()
        dead = {node.name for node in self.engines.nodes if not node.alive}
        for node in self.engines.nodes:
            node.alive = True
        self._quiet_at = -1
        book.engines_since |= dict.fromkeys(dead, now)
        pure_owners.join(book, dead)
        pure_owners.release(book, dead, now)

    # What the oracle may know

    def view(self) -> View:
        """Return what the portal believes."""
        return view_of(self.book, self.wire.world.vms)

    def take_log(self) -> list[Any]:
        """Return what happened since the last call."""
        log, self.book.log = self.book.log, []
        return log


def _move_ha(book: Book, item: wish.MoveHa) -> None:
    book.move_ha(item.host, item.event, f"row {item.row}" if item.row else "")


def _distrust(book: Book, item: wish.Distrust) -> None:
    row = book.controllers[item.host]
    if row.trusted:
        book.controllers[item.host] = replace(row, trusted=False, first_off_at=None, off_reads=0)
        book.emit("bmc.distrusted", item.host)


def _fence(book: Book, item: wish.Fence) -> None:
    ask(book, "fencing", "fence", item.host, rule=f"row {item.row}" if item.row else "")


def _release(book: Book, item: wish.Release) -> None:
    op = book.open_op("fencing", "fence", item.host)
    if op is not None and op.step != "read" and cancel_unclaimed(book, op):
        book.move_ha(item.host, HaEvent.RELEASED, "")


def _boot_overdue(book: Book, item: wish.BootOverdue) -> None:
    book.move_host(item.host, HostEvent.BOOT_OVERDUE)
    book.raise_alert(AlertKind.BOOT_OVERDUE, item.host, 0)


def _evacuated(book: Book, item: wish.Evacuated) -> None:
    book.move_host(item.host, HostEvent.EVACUATED)


def _start(book: Book, item: wish.Start) -> None:
    try:
        pure_runs.request_start(book, item.vm, item.host)
    except pure_runs.AlreadyOpen:
        return


def _hold(book: Book, item: wish.Hold) -> None:
    if book.vms[item.vm].waiting_since is None:
        book.set_vm(item.vm, waiting_since=book.now())


_WRITERS: dict[type, Callable[[Book, Any], object]] = {
    wish.MoveHa: _move_ha,
    wish.AskBmc: lambda book, item: ask(book, "fencing", "check", item.host),
    wish.AskStorage: lambda book, item: ask(book, "fencing", "storage", item.host),
    wish.UseKdump: lambda book, item: pure_storage.use_kdump(book, item.host),
    wish.DumpOver: lambda book, item: book.move_host(item.host, HostEvent.BOOT_OVERDUE),
    wish.Distrust: _distrust,
    wish.UseProof: lambda book, item: pure_readings.use_power_proof(
        book, item.host, f"row {item.row}" if item.row else ""
    ),
    wish.Fence: _fence,
    wish.Release: _release,
    wish.PowerOn: lambda book, item: ask(book, "fencing", "power_on", item.host),
    wish.BootOverdue: _boot_overdue,
    wish.Evacuated: _evacuated,
    wish.Start: _start,
    wish.Hold: _hold,
    **pure_leases.WRITERS,
    **pure_recover.WRITERS,
    wish.Move: pure_migrating.move,
    wish.ArmAgain: lambda book, item: pure_admin.arm(book, armed=True),
    **pure_pauses.WRITERS,
    wish.Raise: lambda book, item: book.raise_alert(item.kind, item.host, item.vm),
    wish.Clear: lambda book, item: book.clear_alert(item.kind, item.host, item.vm),
}

__all__ = ["PurePortal"]
