"""How long one plan takes when a host has just died: ``manage.py bench planner``.

From rows in memory to intentions: building the facts counts, reading the rows from the
database does not.  What is told is time of the processor, as the peer tells it, so that a busy
machine does not change the figure.  Every plan is checked by ``portal.bench.checker``.
"""

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from time import process_time
from typing import Any

from fencing.domain.facts import ClusterFacts
from fencing.domain.failover import plan
from fencing.domain.intentions import Start
from fencing.domain.policy import Policy
from fencing.models import HaResource, PowerController
from fencing.selectors import States, controller_facts, host_facts
from hosts.domain.states import HostStatus
from hosts.models import Cluster, Host
from portal.bench.checker import wrong_with
from portal.bench.figures import ms
from portal.bench.pacemaker import peer_ms
from portal.lib import collector
from portal.lib.ha.states import HaState
from vms.domain.restart import LastRun
from vms.domain.states import EndReason, ProofKind
from vms.selectors import open_run_of, vm_facts_of

#: hosts/VMs: what the plan may take, in milliseconds.
CASES = {"50/1000": 10.0, "100/5000": 50.0, "1000/100000": 1000.0}
_NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
_BEFORE = _NOW - timedelta(hours=1)
_VM_MIB, _VM_VCPUS = 2048, 2


@dataclass
class Rows:
    """A cluster whose first host has just been proven off, as a round reads its tables."""

    hosts: list[Host]
    vms: list[tuple[Any, ...]]  # VM_COLUMNS
    runs: list[tuple[Any, ...]]  # RUN_COLUMNS
    ha: dict[int, HaResource]
    controllers: list[PowerController]


def rows(hosts: int, vms: int) -> Rows:
    """Return so many hosts, each with room for a quarter more than it runs."""
    cluster = Cluster(pk=1, name="cluster", mode="armed")
    each = -(-vms // hosts)
    machines = [_host(cluster, number, each) for number in range(1, hosts + 1)]
    ha = {
        host.pk: HaResource(
            host=host,
            since=_BEFORE,
            state=HaState.FENCED if host.status == HostStatus.DOWN else HaState.AVAILABLE,
        )
        for host in machines
    }
    return Rows(
        machines,
        [_vm(number, up=bool(number % hosts)) for number in range(1, vms + 1)],
        [_run(number, 1 + number % hosts) for number in range(1, vms + 1) if number % hosts],
        ha,
        [_controller(host) for host in machines],
    )


def _host(cluster: Cluster, number: int, each: int) -> Host:
    dead = number == 1
    return Host(
        pk=number,
        name=f"host{number:04}",
        cluster=cluster,
        status=HostStatus.DOWN if dead else HostStatus.UP,
        status_since=_BEFORE,
        first_contact=dead,
        last_seen=_NOW - timedelta(seconds=30 if dead else 1),
        memory_mib=each * _VM_MIB * 5 // 4,
        vcpus=each,
        cpu_arch="x86_64",
        cpu_model="EPYC-Rome",
        networks=["prod", "storage"],
        storage=["ceph"],
    )


def _vm(number: int, *, up: bool) -> tuple[Any, ...]:
    state, priority = "up" if up else "down", 50 + number % 3
    return (
        number, f"vm{number:06}", state, True, True, _VM_MIB, _VM_VCPUS, priority, 2, False,
        0, None, None, None, "x86_64/EPYC", ["prod"], ["ceph"], False, [], 0,
        None, None, None, None,
    )  # fmt: skip


def _run(number: int, host: int) -> tuple[Any, ...]:
    uuid = f"00000000-0000-4000-8000-{number:012}"
    name = f"vm{number:06}"
    return (
        number, number, uuid, name, host, 1, "running", _BEFORE, False, None, None, False, _BEFORE,
        False, None,
    )  # fmt: skip


def _controller(host: Host) -> PowerController:
    off = host.status == HostStatus.DOWN
    return PowerController(
        pk=host.pk, host=host, state="off" if off else "on", identity="proven",
        asked_at=_NOW - timedelta(seconds=1), answered_at=_NOW - timedelta(seconds=1),
        first_off_at=_NOW - timedelta(seconds=5) if off else None, off_reads=2 if off else 0,
    )  # fmt: skip


def facts_of(there: Rows) -> ClusterFacts:
    """Build what a round works on, by the functions that build it from the database's rows."""
    policy = Policy()
    ways = {row.host_id: [controller_facts(row)] for row in there.controllers}
    states = States(there.ha, ways, {}, {})
    ended = LastRun(1, ProofKind.POWER_OFF, EndReason.HOST_LOST, _NOW)
    runs = {row[1]: open_run_of(row) for row in there.runs}
    return ClusterFacts(
        pk=1,
        name="cluster",
        armed=True,
        hosts=tuple(host_facts(row, states, _BEFORE) for row in there.hosts),
        vms=tuple(
            vm_facts_of(row, None, runs.get(row[0]), None if row[0] in runs else ended)
            for row in there.vms
        ),
        policies=dict.fromkeys((row.pk for row in there.hosts), policy),
        policy=policy,
        hosts_lost={1: _NOW},
        starts_on={},
        engine_since=_BEFORE,
    )


def lines(names: Iterable[str], n: int, note: Callable[[str], Any]) -> Iterator[dict[str, Any]]:
    """Yield one figure per case."""
    for name in names:
        note(f"planner: {name} hosts/VMs")
        hosts, vms = map(int, name.split("/"))
        yield measured(name, rows(hosts, vms), n)


def measured(name: str, there: Rows, n: int) -> dict[str, Any]:
    """Plan ``n`` times; return the median, the peer's time, and what the checker found."""
    gc.collect()
    times = []
    for _ in range(n):
        begun = process_time()
        with collector.at_rest():
            facts = facts_of(there)
            wishes = plan(facts, _NOW)
        times.append(process_time() - begun)
    wrong = wrong_with(facts, wishes)
    taken, peer = ms(median(times)), peer_ms(facts)
    return {
        "bench": "planner",
        "case": name,
        "n": n,
        "plan_ms": taken,
        "peer_ms": peer,
        "ratio": None if peer is None else round(peer / taken, 1),
        "limit_ms": CASES.get(name),
        "starts": sum(isinstance(wish, Start) for wish in wishes),
        "wrong": len(wrong),
        "first_wrong": wrong[0] if wrong else "",
    }


def faults(line: dict[str, Any]) -> list[str]:
    """Return what is wrong with a figure."""
    found = []
    if line["limit_ms"] is not None and line["plan_ms"] > line["limit_ms"]:
        found.append(f"{line['case']}: {line['plan_ms']} ms, wanted {line['limit_ms']:g} at most")
    if line["wrong"]:
        found.append(f"{line['case']}: a wrong plan: {line['first_wrong']}")
    if not line["starts"]:
        found.append(f"{line['case']}: nothing was started")
    return found
