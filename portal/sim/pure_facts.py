"""The pure depth's rows as the frozen facts that a plan is made of."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from fencing.domain.facts import ControllerFacts, HostFacts
from fencing.domain.recovery import Recovery, of_this_silence
from hosts.domain.activity import Activity
from hosts.domain.liveness import booted_at
from hosts.domain.tracks import Track
from portal.sim.rows import HostRow, Op, VmRow
from vms.domain.condition import Condition
from vms.domain.proofs import OpenRun
from vms.domain.restart import VmFacts


def host_facts(
    row: HostRow,
    ops: Sequence[Op],
    power_ons: int,
    engine: dict[str, Any],
    *,
    way: ControllerFacts | None,
    storage: tuple[tuple[Track, ...], Activity],
    recovery: Recovery | None,
) -> HostFacts:
    """Return what a round knows of a host, its open operations, its controller, its storage.

    ``engine``: which engines have looked at it (``rows.engine_facts``).
    """
    return HostFacts(
        pk=row.pk,
        name=row.name,
        status=row.status,
        wanted=row.wanted,
        ha=row.ha,
        status_since=row.since,
        ha_since=row.ha_since,
        **_looks(row),
        memory_mib=row.memory_mib,
        vcpus=row.vcpus,
        controllers=() if way is None else (way,),
        first_contact=row.first_contact,
        back_at=row.back_at,
        disproved=row.disproved,
        **_under_way(ops),
        power_ons_last_hour=power_ons,
        **engine,
        **row.able.told,
        kdump_since=row.kdump_since,
        watchdog=row.watchdog,
        is_self=row.is_self,
        heartbeats=storage[0],
        activity=storage[1],
        recovery=of_this_silence(recovery, row.last_seen, is_open=_recovers(ops)),
    )


def _looks(row: HostRow) -> dict[str, Any]:
    return {
        "last_seen": row.last_seen,
        "booted_at": booted_at(row.last_seen, row.uptime_s),
        "missed_at": row.missed_at,
        "kernel_seen": row.kernel_seen,
        "slow_since": row.slow_since,
    }


def _recovers(ops: Iterable[Op]) -> bool:
    return any(op.kind == "recover" for op in ops)


def _under_way(ops: Iterable[Op]) -> dict[str, Any]:
    mine = {op.kind: op for op in ops}
    fence = mine.get("fence")
    return {
        "fence_open": fence is not None,
        "fence_acting": fence is not None and (fence.state == "acting" or fence.step == "read"),
        "check_open": "check" in mine,
        "power_on_open": "power_on" in mine,
        "departing": "shutdown" in mine or "reboot" in mine,
        "storage_open": "storage" in mine,
        "free_open": "free" in mine,
    }


def vm_facts(
    row: VmRow, run: OpenRun | None, since: datetime | None, condition: Condition
) -> VmFacts:
    """Return what a round knows of a VM, of its open run and of its open settlement."""
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
