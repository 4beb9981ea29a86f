"""The full depth: the shipping services, selectors, operations and tables, in virtual time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from random import Random
from sqlite3 import Connection
from typing import Any

from django.db import OperationalError
from django.db.models import F, Q

from fencing import operations as power_operations
from fencing import power as power_drivers
from fencing import recovery
from fencing.domain.watching import LEASED, NOT_LEARNED
from fencing.models import Alert, FenceOperation
from fencing.selectors import cluster_policy, policy_of
from fencing.services import restored
from fencing.services.power import RECOVER
from fencing.services.rounds import run_round
from fencing.services.witness import record_seen
from hosts import hypervisor, storage
from hosts.domain.liveness import Pace
from hosts.domain.states import Wanted
from hosts.models import Cluster, Host, HostStorage
from hosts.services import engines, work
from portal import tasks
from portal.core.models import OPEN_STATES, Event
from portal.lib import clock, ids, live, node, own_machine, queue, watermark
from portal.sim import full_admin, full_rows
from portal.sim.database import CrashingWrapper, copied, in_memory, put_back
from portal.sim.engine import BEAT, Engines
from portal.sim.fibers import Fibers
from portal.sim.full_ports import (
    CountedIds,
    NobodyWatches,
    SimHypervisor,
    SimPower,
    SimRestarter,
    SimStorage,
)
from portal.sim.log import Happened, detail_of, is_domain
from portal.sim.portal import ABSENT, Crash, RunView, Start, View
from portal.sim.pure_work import ADVANCE, LOOK, ROUND
from portal.sim.wire import Wire
from vms import operations as vm_operations
from vms.models import Run, RunLease, Vm, VmOperation
from vms.operations.looking import look_at, pass_on

#: A calm cluster is planned for this often, not every second.
CALM_MS = 5000


class FullPortal:
    """The portal of the full depth; see :class:`portal.sim.portal.Portal`."""

    def __init__(
        self, wire: Wire, start: Start, random: Random | None, connection: CrashingWrapper
    ) -> None:
        self.wire, self.line = wire, wire.world.line
        self.engines = Engines(self.line, self.run, start.engines, random)
        self.fibers = Fibers(self.engines)
        self._backups: dict[int, Connection] = {}
        self.crash_in: int | None = None  # commits and hardware calls until the engine dies
        self._last_event = 0
        self._calm = (-1, -1)  # (last event, ms) of the last round that wished for nothing
        self._tasks: Mapping[str, Callable[..., object]] = {
            LOOK: _look,
            ADVANCE["vms"]: vm_operations.advance,
            ADVANCE["fencing"]: power_operations.advance,
            RECOVER: power_operations.advance,
            ROUND: self._round,
            "portal.sweep": tasks.sweep,
            BEAT: tasks.beat,
        }
        self._connection, self._changes = connection, -1
        self._install()
        connection.at_commit = self.may_die
        connection.is_lost = lambda: self.fibers.at_work and self.engines.database_is_lost
        wire.asleep_s, wire.engine = self.engines.asleep_s, lambda: self.engines.now
        full_rows.fill(wire.world, start, self.line.now())

    def _install(self) -> None:
        clock.install(self.line)
        queue.install(self.engines)
        node.install(lambda: node.Node(self.engines.now.name, None))
        live.install(NobodyWatches())
        ids.install(CountedIds())
        hypervisor.install(partial(SimHypervisor, self))
        power_drivers.install("memory", SimPower(self))
        storage.install(SimStorage(self))
        recovery.install(SimRestarter(self))
        watermark.install(watermark.MemoryStore())
        own_machine.install(self.wire.world.own_uuid)

    def close(self) -> None:
        """Give the ports back."""
        self.fibers.close()
        clock.install(None)
        queue.install(None)
        node.install(None)
        live.install(None)
        ids.install(None)
        hypervisor.install(None)
        power_drivers.install("memory", None)
        storage.install(None)
        recovery.install(None)
        watermark.install(None)
        own_machine.install(None)

    def run(self, task: str, args: tuple[int, ...]) -> None:
        """Run a task until it ends or waits for hardware."""
        self.fibers.spawn(lambda: self._work(task, args))

    def _work(self, task: str, args: tuple[int, ...]) -> None:
        try:
            self._tasks[task](*args)
        except OperationalError:
            if not self.engines.database_is_lost:
                raise

    def _round(self, cluster: int) -> None:
        """Plan, unless the last plan was empty, is young, and nothing has changed since."""
        newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        young = self._calm[0] == newest and self.line.ms - self._calm[1] < CALM_MS
        self._ask_witness(cluster)
        young = young and not Cluster.objects.filter(observe_until__isnull=False).exists()
        uneasy = Q(missed_since__isnull=False) | Q(slow_since__isnull=False) | ~Q(status="up")
        if young and not Host.objects.filter(uneasy).exists() and not self._heartbeat_is_due():
            return
        if not run_round(cluster, clock.now()):
            self._calm = (newest, self.line.ms)

    def _heartbeat_is_due(self) -> bool:
        """Whether a calm host's heartbeat may be due for its routine reading."""
        if not self.wire.world.storage.slots:
            return False
        now = clock.now()
        due = Q(asked_at__isnull=True) | Q(asked_at__lte=now - timedelta(seconds=60))
        if self.wire.world.storage.sanlock.used:  # hosts of leased runs are read more often
            held = RunLease.objects.filter(run__ended_at__isnull=True, guarded_at__isnull=False)
            open_now = RunLease.objects.filter(run__ended_at__isnull=True, guarded_at=None)
            due |= Q(host__in=held.values("run__host"), asked_at__lte=now - LEASED)
            due |= Q(host__in=open_now.values("run__host"), asked_at__lte=now - NOT_LEARNED)
        new = Q(learned_at__isnull=True) | ~Q(problem="") | Q(learned_at__lte=F("host__back_at"))
        return HostStorage.objects.filter(due | new).exists()

    def _ask_witness(self, cluster: int) -> None:
        """A witness answers for as long as the engine has a network."""
        cut_off = self.wire.world.engine_cut_off or self.engines.now.cut_off
        if not cut_off and cluster_policy(cluster).witness:
            record_seen(self.engines.now.name, cluster, clock.now())

    def may_die(self) -> None:
        """Die here if the schedule says so: every commit and hardware call counts."""
        if self.crash_in is None or not self.engines.now.alive:
            return
        self.crash_in -= 1
        if self.crash_in < 0:
            self.crash_in = None
            dead = self.engines.crash()
            self.line.at(self.line.ms, lambda: self.fibers.kill_waiting(dead))
            raise Crash

    def kill(self, engine: str) -> None:
        """Let this engine die at once, with all that it waits for."""
        with self.engines.being(self.engines.node(engine)):
            self.fibers.kill_waiting(self.engines.crash())

    def start_engines(self) -> None:
        """Let every dead engine live again, in a new epoch."""
        now = self.line.now()
        for dead in [item for item in self.engines.nodes if not item.alive]:
            self.fibers.kill_waiting(dead)
            tag = engines.join(dead.name, now)
            for model in (VmOperation, FenceOperation):
                work.release_claims(model, tag, now)
            dead.alive = True

    def keep_backup(self) -> None:
        """Keep the whole database."""
        self._backups[self.line.ms] = copied(self._connection)

    def restore(self, at_ms: int) -> None:
        """Put a kept database back under an engine that starts anew."""
        for each in self.engines.nodes:
            self.kill(each.name)
        put_back(self._backups[at_ms], self._connection)
        self._last_event = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        restored.check(self.line.now())
        self.start_engines()

    def admin(self, word: str, args: Mapping[str, Any]) -> None:
        """Do what a person does, if it can be written down; who dies on it has done it or not."""
        if self.engines.database_is_lost:
            return
        with suppress(Crash):
            if word == "add_vm":
                full_rows.add(self.wire.world.vms[args["vm"]], self.line.now())
            elif "vm" not in args or Vm.objects.filter(name=args["vm"]).exists():
                full_admin.WORDS[word](self.line.now(), **args)

    def view(self) -> View:
        """Return what the portal believes."""
        ms, hosts = self._ms, list(Host.objects.select_related("ha"))
        names = {0: "", **{host.pk: host.name for host in hosts}}
        there = list(Vm.objects.all())
        vm_names = {0: "", **dict(Vm.everything.values_list("pk", "name"))}
        ops = (VmOperation, FenceOperation)
        return View(
            runs=tuple(
                RunView(
                    vm_names[run.vm_id], names[run.host_id], run.generation,
                    self.line.ms_of(run.started_at), ms(run.ended_at),
                    run.proof.kind if run.proof else None, names[run.migrating_to_id or 0],
                )
                for run in Run.objects.select_related("proof").order_by("pk")
            ),
            statuses={host.name: (host.status, host.ha.state) for host in hosts},
            off_by_wish={host.name for host in hosts if host.wanted != Wanted.ACTIVE},
            seen={host.name: ms(host.last_seen) for host in hosts},
            alerts={
                (item.kind, names[item.host], vm_names[item.vm], self.line.ms_of(item.opened_at))
                for item in Alert.objects.filter(closed_at__isnull=True)
            },
            vms=dict.fromkeys(self.wire.world.vms, ABSENT)
            | {vm.name: (vm.state, vm.wanted_up, vm.quarantined) for vm in there},
            open_ops=tuple(
                f"{op.kind} {names[op.host_id]}"
                for model in ops
                for op in model._default_manager.filter(state__in=OPEN_STATES)
            ),
            fences=tuple(
                (names[op.host_id], self.line.ms_of(op.requested_at), op.outcome or op.state)
                for op in FenceOperation.objects.filter(kind="fence").order_by("pk")
            ),
            armed=Cluster.objects.get().mode == "armed",
            ha={vm.name for vm in there if vm.ha},
        )  # fmt: skip

    def _ms(self, moment: datetime | None) -> int | None:
        return None if moment is None else self.line.ms_of(moment)

    def take_log(self) -> list[Happened]:
        """Return the domain events since the last call."""
        changes = self._connection.changes()
        if changes == self._changes:
            return []  # asked after every step, and most write nothing
        self._changes = changes
        rows = list(Event.objects.filter(pk__gt=self._last_event).order_by("pk"))
        if not rows:
            return []
        self._last_event = rows[-1].pk
        names = dict(Host.objects.values_list("pk", "name"))
        vms = dict(Vm.everything.values_list("pk", "name"))
        return [
            Happened(
                self.line.ms_of(row.at), row.kind, names.get(row.host, ""), vms.get(row.vm, ""),
                detail_of(row.kind, row.rule, row.text, row.evidence),
            )
            for row in rows
            if is_domain(row.kind)
        ]  # fmt: skip


def _look(host_id: int, early: int = 0) -> None:
    """Look as the Celery task does, but ask for the next look only after an own turn."""
    host = Host.objects.select_related("cluster").get(pk=host_id)
    if pass_on(host, early=bool(early)):
        return
    policy = policy_of(host)
    pace = Pace(policy.poll, policy.connect_deadline, policy.missed_polls)
    if look_at(host_id, pace, early=bool(early)):
        due, owner = Host.objects.values_list("look_due_at", "owner").get(pk=host_id)
        queue.wake(LOOK, host_id, at=due, to=owner)


@contextmanager
def full_portal(wire: Wire, start: Start, random: Random | None) -> Iterator[FullPortal]:
    """Let the shipping portal run over ``wire`` on a database of its own."""
    with in_memory() as connection:
        portal = FullPortal(wire, start, random, connection)
        try:
            yield portal
        finally:
            connection.at_commit = None
            portal.close()
