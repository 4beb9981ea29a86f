"""The rows of the pure depth: frozen, replaced whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hosts.domain.states import HostStatus, Wanted
from portal.lib.ha import owners
from portal.lib.ha.states import HaState
from portal.sim.abilities import Able, Asks
from vms.domain.condition import WELL, Condition
from vms.domain.leases import NO_LEASES, Leases
from vms.domain.proofs import OpenRun
from vms.domain.restart import LastRun
from vms.domain.states import EndReason, ProofKind, VmState


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host's row."""

    pk: int
    name: str
    memory_mib: int
    vcpus: int
    since: datetime
    last_seen: datetime | None
    uuid: str
    boot_marker: str
    uptime_s: float | None
    status: HostStatus = HostStatus.UP
    wanted: Wanted = Wanted.ACTIVE
    ha: HaState = HaState.AVAILABLE
    ha_since: datetime | None = None
    missed: int = 0
    slow_since: datetime | None = None
    missed_at: datetime | None = None
    kernel_seen: datetime | None = None
    first_contact: bool = False
    back_at: datetime | None = None
    marker_at_proof: str = ""
    disproved: bool = False
    able: Able = field(default_factory=Able)
    kdump_since: datetime | None = None
    watchdog: bool = False
    is_self: bool = False  # the portal runs on it
    owner: str = ""  # the engine that looks at it
    missed_by: Mapping[str, datetime] = field(default_factory=dict)  # engine: asked in vain


@dataclass(frozen=True, slots=True)
class VmRow:
    """A VM's row, with how its last closed run ended."""

    pk: int
    name: str
    uuid: str
    xml: str
    ha: bool
    wanted_up: bool
    memory_mib: int
    vcpus: int
    priority: int
    state: VmState
    generation: int
    start_tier: int = 2
    starts_after: tuple[int, ...] = ()
    start_delay_s: float = 0
    quarantined: bool = False
    reason: str = ""
    tries: int = 0
    refused_at: datetime | None = None
    refused_by: int | None = None
    waiting_since: datetime | None = None
    last: LastRun | None = None
    waits_for: int | None = None
    moved_from: int | None = None
    move_failed_at: datetime | None = None
    move_failed_to: int | None = None
    condition: Condition = WELL
    lock: tuple[str, datetime | None] | None = None  # why, until
    asks: Asks = field(default_factory=Asks)
    leases: Leases = NO_LEASES
    removed: bool = False
    seen_again_on: int | None = None  # where it executes since


@dataclass(frozen=True, slots=True)
class Op:
    """An operation's row; ``table`` is ``vms`` or ``fencing``."""

    pk: int
    table: str
    kind: str
    host: int
    vm: int
    run: int
    requested_at: datetime
    due_at: datetime
    state: str = "requested"
    step: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    attempt: int = 0
    version: int = 0
    outcome: str = ""
    by: str = "portal"
    owner: str = ""  # the engine whose claim it is
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class EngineRow:
    """An engine's row."""

    beat_at: datetime
    epoch: int = 1
    buried: bool = False  # others have taken its work over
    deaf_since: datetime | None = None
    hears_since: datetime | None = None
    tried_at: datetime | None = None


def live_engines(
    rows: Mapping[str, EngineRow], me: str, now: datetime
) -> tuple[owners.Member, ...]:
    """Return the live engines by name (``hosts.selectors.roster``)."""
    live = {name: row for name, row in rows.items() if now - row.beat_at <= owners.DEAD}
    told = ((name, row.deaf_since, row.hears_since) for name, row in live.items())
    return owners.roster(told, me, now)


def engine_facts(
    row: HostRow, live: Sequence[owners.Member], engine_since: datetime
) -> dict[str, Any]:
    """Return the fields of a host's facts that tell which engines have looked at it."""
    unasked = owners.not_yet(live, row.missed_by, row.last_seen) if row.missed else ""
    seen = row.last_seen is not None and row.last_seen >= engine_since
    return {"seen_by_engine": seen, "unasked": unasked}


@dataclass(frozen=True, slots=True)
class ClosedRun:
    """A run that is over, and by which proof."""

    run: OpenRun
    ended_at: datetime
    kind: ProofKind


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a proof rests on (the services' ``Evidence``, without its texts)."""

    kind: ProofKind
    at: datetime
    reason: EndReason = EndReason.NONE
