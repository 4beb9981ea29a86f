"""The ledger of the pure depth: its rows in plain dictionaries.

What the tables, selectors and services keep, without tables.  Rules are never
repeated here: they are asked where they live, in the domain packages.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import is_
from typing import Any

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts, ControllerFacts, HostFacts
from fencing.domain.policy import Policy
from fencing.domain.recovery import Recovery
from hosts.domain.states import HostEvent, Wanted, next_status
from portal.lib.ha.owners import Member
from portal.lib.ha.states import HaEvent, next_state
from portal.sim.engine import Engines
from portal.sim.log import Happened
from portal.sim.pure_facts import host_facts, vm_facts
from portal.sim.rows import ClosedRun, EngineRow, HostRow, Op, VmRow, engine_facts, live_engines
from portal.sim.storage_rows import StorageRows
from portal.sim.timeline import Timeline
from vms.domain.affinity import Rule
from vms.domain.condition import Condition, Remedy
from vms.domain.neighbours import gone, hosts_emptied
from vms.domain.proofs import OpenRun
from vms.domain.restart import VmFacts
from vms.domain.states import VmState

OPEN = ("requested", "acting", "waiting")


class Book:
    """All rows of one cluster, its log, and the way to wake a task."""

    def __init__(
        self, line: Timeline, policy: Policy, wake: Callable[..., None], engines: Engines
    ) -> None:
        self.line, self.policy, self.wake, self._engines = line, policy, wake, engines
        self.hosts: dict[int, HostRow] = {}
        self.controllers: dict[int, ControllerFacts] = {}
        self.turns: dict[int, tuple[datetime, int]] = {}  # host: next look due, version
        self.vms: dict[int, VmRow] = {}
        self.runs: dict[int, OpenRun] = {}  # open, by VM
        self.closed: list[ClosedRun] = []
        self.doubled: list[OpenRun] = []  # open beside another one: only where a rule is off
        self.ops: dict[int, Op] = {}  # open ones only
        self.power_ons: list[tuple[int, datetime]] = []
        self.fences: list[Op] = []  # closed ones, for the report
        self.recoveries: dict[int, Recovery] = {}  # by host: the newest
        self.alerts: dict[tuple[str, int, int], datetime] = {}
        self.hosts_lost: dict[int, datetime] = {}
        self.rules: tuple[Rule, ...] = ()
        self.armed = True
        self.own_uuid = ""  # the machine that the portal runs in
        self.observe_until: datetime | None = None
        self.wanted_after: dict[int, Wanted] = {}  # host: what was wanted before its shutdown
        self.distrust = ""
        self.distrusted_at: datetime | None = None
        self.newer: dict[tuple[int, int], tuple[int, bool]] = {}  # (VM, host): generation, executes
        self.storage = StorageRows()
        self.engines_since = {item.name: line.now() for item in engines.nodes}
        self.members = {item.name: EngineRow(line.now()) for item in engines.nodes}
        self.log: list[Happened] = []
        self.emitted = 0  # events so far, and how many the engine's machine remembers
        self.remembered = 0
        self.older = False  # what was put back does not hold all that is remembered
        self.changes = 0  # raised by every write that a plan could notice
        self._pks = 0
        self._told: dict[int, tuple[tuple[object, ...], VmFacts]] = {}
        self._told_hosts: dict[int, tuple[tuple[object, ...], dict[str, Any], HostFacts]] = {}

    def now(self) -> datetime:
        """Return the virtual time."""
        return self.line.now()

    @property
    def engine(self) -> str:
        """The engine that acts at this moment."""
        return self._engines.now.name

    @property
    def roster(self) -> tuple[Member, ...]:
        """The live engines by name."""
        return live_engines(self.members, self.engine, self.now())

    @property
    def engine_since(self) -> datetime:
        """When that engine began its life."""
        return self.engines_since[self.engine]

    def pk(self) -> int:
        """Return a fresh row id."""
        self._pks += 1
        return self._pks

    def emit(self, kind: str, host: int = 0, vm: int = 0, detail: str = "") -> None:
        """Write an event down."""
        self.changes += 1
        self.emitted += 1
        host_name = self.hosts[host].name if host else ""
        vm_name = self.vms[vm].name if vm else ""
        self.log.append(Happened(self.line.ms, kind, host_name, vm_name, detail))

    def set_host(self, pk: int, **changes: Any) -> HostRow:
        """Replace a host's row."""
        self.hosts[pk] = row = replace(self.hosts[pk], **changes)
        return row

    def set_vm(self, pk: int, **changes: Any) -> VmRow:
        """Replace a VM's row."""
        self.changes += 1
        self.vms[pk] = row = replace(self.vms[pk], **changes)
        return row

    def set_run(self, run: OpenRun, **changes: Any) -> OpenRun:
        """Replace an open run's row."""
        self.changes += 1
        self.runs[run.vm] = row = replace(run, **changes)
        return row

    def note_lost(self, host: int, at: datetime) -> None:
        """The whole host was proven off or dead at that time."""
        self.hosts_lost[host] = max(at, self.hosts_lost.get(host, at))
        self.changes += 1

    def move_host(self, pk: int, event: HostEvent) -> bool:
        """Send ``event`` to a host's status table."""
        row = self.hosts[pk]
        new = next_status(row.status, event)
        if new is row.status:
            return False
        self.set_host(pk, status=new, since=self.now())
        self.emit(f"host.{new}", pk)
        return True

    def move_ha(self, pk: int, event: HaEvent, rule: str) -> bool:
        """Send ``event`` to a host's HA table."""
        row = self.hosts[pk]
        new = next_state(row.ha, event)
        if new is row.ha:
            return False
        self.set_host(pk, ha=new, ha_since=self.now())
        self.emit(f"ha.{new}", pk, detail=rule)
        return True

    def set_state(self, vm: int, state: VmState, reason: str) -> None:
        """Write what is known of a VM; a quarantine is not lifted by it."""
        row = self.vms[vm]
        if not row.quarantined and row.state is not state:
            self.set_vm(vm, state=state, reason=reason)

    def raise_alert(self, kind: AlertKind, host: int, vm: int) -> None:
        """Open an alert, or keep it open."""
        if (kind, host, vm) not in self.alerts:
            self.alerts[kind, host, vm] = self.now()
            self.emit(f"alert.{kind}", host, vm)

    def clear_alert(self, kind: AlertKind, host: int, vm: int) -> None:
        """Close an alert."""
        if self.alerts.pop((kind, host, vm), None) is not None:
            self.changes += 1

    def open_op(self, table: str, kind: str, host: int, vm: int = 0) -> Op | None:
        """Return the open operation of this kind and subject, if there is one."""
        for op in self.ops.values():
            if (op.table, op.kind, op.host, op.vm) == (table, kind, host, vm):
                return op
        return None

    def facts(self) -> ClusterFacts:
        """Return what one round may use."""
        starts: dict[int, int] = {}
        for op in self.ops.values():
            if op.table == "vms" and op.kind == "start":
                starts[op.host] = starts.get(op.host, 0) + 1
        vms = tuple(self._vm_facts(row) for row in self.vms.values() if not row.removed)
        emptied, live = hosts_emptied(vms), self.roster
        return ClusterFacts(
            pk=1,
            name="cluster",
            armed=self.armed,
            hosts=tuple(self._host_facts(row, live) for row in self.hosts.values()),
            vms=vms,
            policies=dict.fromkeys(self.hosts, self.policy),
            policy=self.policy,
            hosts_lost=gone(self.hosts_lost, emptied),
            emptied=emptied,
            starts_on=starts,
            observe_until=self.observe_until,
            engine_since=self.engine_since,
            distrust=self.distrust,
            alerts=frozenset(self.alerts),
            rules=self.rules,
            **self.storage.of_cluster(self.policy.witness, self.engine, self.now()),
        )

    def host_facts(self, pk: int) -> HostFacts:
        """Return what a round knows of one host."""
        return self._host_facts(self.hosts[pk], self.roster)

    def _host_facts(self, row: HostRow, live: Sequence[Member]) -> HostFacts:
        """Facts are frozen: those of a host about which nothing was written are told again."""
        ops = self.ops.values()
        mine = [op for op in ops if op.table == "fencing" and op.host == row.pk]
        hour_ago = self.now() - timedelta(hours=1)
        power_ons = sum(host == row.pk and at > hour_ago for host, at in self.power_ons)
        way, (beats, disks) = self.controllers.get(row.pk), self.storage.of(row.pk)
        recovery = self.recoveries.get(row.pk)
        engine = engine_facts(row, live, self.engine_since)
        ground = (row, power_ons, way, beats, disks, recovery, *mine)
        told = self._told_hosts.get(row.pk)
        if told is not None and told[1] == engine and _are_same(told[0], ground):
            return told[2]
        facts = host_facts(
            row, mine, power_ons, engine, way=way, storage=(beats, disks), recovery=recovery
        )
        self._told_hosts[row.pk] = (ground, engine, facts)
        return facts

    def _vm_facts(self, row: VmRow) -> VmFacts:
        """Facts are frozen: those of a VM about which nothing was written are told again."""
        settling = [op for op in self.ops.values() if op.kind == "settle" and op.vm == row.pk]
        since = min((op.requested_at for op in settling), default=None)
        run, told = self.runs.get(row.pk), self._told.get(row.pk)
        ground = (row, run, since, self._condition(row))
        if told is not None and told[0][0] is row and told[0][1:] == ground[1:]:
            return told[1]
        facts = vm_facts(*ground)
        self._told[row.pk] = (ground, facts)
        return facts

    def locked(self, row: VmRow) -> str:
        """Return by whom a VM is locked, until the lock's time has passed."""
        why, until = row.lock or ("", None)
        return why if until is None or until > self.now() else ""

    def _condition(self, row: VmRow) -> Condition:
        if row.lock is None and row.condition.io_error_since is None:
            return row.condition
        mine = {op.kind for op in self.ops.values() if op.vm == row.pk}
        helped = frozenset(kind for kind in Remedy if kind in mine)
        return replace(row.condition, locked=self.locked(row), in_hand=helped)


def _are_same(told: tuple[object, ...], ground: tuple[object, ...]) -> bool:
    return len(told) == len(ground) and all(map(is_, told, ground))
