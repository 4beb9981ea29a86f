"""The ledger of the pure depth: its rows in plain dictionaries.

What the tables, selectors and services keep, without tables.  Rules are never
repeated here: they are asked where they live, in the domain packages.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts, ControllerFacts, HostFacts
from fencing.domain.policy import Policy
from hosts.domain.liveness import booted_at
from hosts.domain.states import HostEvent, Wanted, next_status
from portal.lib.ha.owners import Member
from portal.lib.ha.states import HaEvent, next_state
from portal.sim.engine import Engines
from portal.sim.log import Happened
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
        mine = {
            op.kind: op for op in self.ops.values() if op.table == "fencing" and op.host == row.pk
        }
        fence = mine.get("fence")
        hour_ago = self.now() - timedelta(hours=1)
        return HostFacts(
            pk=row.pk,
            name=row.name,
            status=row.status,
            wanted=row.wanted,
            ha=row.ha,
            status_since=row.since,
            last_seen=row.last_seen,
            ha_since=row.ha_since,
            booted_at=booted_at(row.last_seen, row.uptime_s),
            missed_at=row.missed_at,
            kernel_seen=row.kernel_seen,
            slow_since=row.slow_since,
            memory_mib=row.memory_mib,
            vcpus=row.vcpus,
            controllers=(self.controllers[row.pk],) if row.pk in self.controllers else (),
            first_contact=row.first_contact,
            back_at=row.back_at,
            disproved=row.disproved,
            fence_open=fence is not None,
            fence_acting=fence is not None and (fence.state == "acting" or fence.step == "read"),
            check_open="check" in mine,
            power_on_open="power_on" in mine,
            departing="shutdown" in mine or "reboot" in mine,
            power_ons_last_hour=sum(h == row.pk and at > hour_ago for h, at in self.power_ons),
            **engine_facts(row, live, self.engine_since),
            **row.able.told,
            storage_open="storage" in mine,
            kdump_since=row.kdump_since,
            watchdog=row.watchdog,
            free_open="free" in mine,
            is_self=row.is_self,
            **self.storage.of(row.pk),
        )

    def _vm_facts(self, row: VmRow) -> VmFacts:
        """Facts are frozen: those of a VM about which nothing was written are told again."""
        settling = [op for op in self.ops.values() if op.kind == "settle" and op.vm == row.pk]
        since = min((op.requested_at for op in settling), default=None)
        run, told = self.runs.get(row.pk), self._told.get(row.pk)
        ground = (row, run, since, self._condition(row))
        if told is not None and told[0][0] is row and told[0][1:] == ground[1:]:
            return told[1]
        facts = self._vm_facts_afresh(*ground)
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

    @staticmethod
    def _vm_facts_afresh(
        row: VmRow, run: OpenRun | None, since: datetime | None, condition: Condition
    ) -> VmFacts:
        return VmFacts(
            pk=row.pk,
            name=row.name,
            state=row.state,
            settling_since=since,
            ha=row.ha,
            wanted_up=row.wanted_up,
            memory_mib=row.memory_mib,
            vcpus=row.vcpus,
            priority=row.priority,
            start_tier=row.start_tier,
            starts_after=row.starts_after,
            start_delay_s=row.start_delay_s,
            quarantined=row.quarantined,
            tries=row.tries,
            refused_at=row.refused_at,
            waiting_since=row.waiting_since,
            refused_by=row.refused_by,
            run=run,
            last=row.last,
            waits_for=row.waits_for,
            moved_from=row.moved_from,
            move_failed_at=row.move_failed_at,
            move_failed_to=row.move_failed_to,
            condition=condition,
            leases=row.leases,
            **row.asks.told,
        )
