"""What leases rest on, each rule as it can be switched off, and what finds it missing."""

from datetime import datetime
from random import Random

from fencing.domain import decision, freeing, takeovers
from fencing.domain.facts import ClusterFacts, HostFacts
from hosts.domain.heartbeat import is_dead_in
from portal.sim import pure_leases
from portal.sim.scenario import EventSpec, HostSpec, Scenario, VmSpec
from tests.sim.rules import Rule, always, patched
from vms.domain.restart import VmFacts
from vms.domain.states import RunState

DOMAIN = "shared1"


def _cluster(seed: int, *events: EventSpec, watchdog: bool = True, lease: str = DOMAIN) -> Scenario:
    hosts = [HostSpec("node1", storage=(DOMAIN,), watchdog=watchdog)]
    hosts += [HostSpec(name, storage=(DOMAIN,)) for name in ("node2", "node3")]
    return Scenario(
        name=f"seed {seed}",
        hosts=tuple(hosts),
        vms=(VmSpec("vm1", "node1", lease=lease),),
        events=tuple(sorted(events, key=lambda event: event.at)),
        until=520,
    )


def _at(seed: int) -> float:
    return 180 + Random(seed).uniform(0, 40)  # noqa: S311 - repeatable luck, no secret


def _cord(seed: int) -> Scenario:
    return _cluster(seed, EventSpec(_at(seed), "power.cut", {"host": "node1"}))


def _cut_off(seed: int, sanlock: str, *, watchdog: bool, lease: str) -> Scenario:
    """A host that lives and runs on, of which nothing is heard, nor read on the storage."""
    at, node1 = _at(seed), {"host": "node1"}
    words = (sanlock, "host.isolate", "bmc.fail")
    events = [EventSpec(at, word, node1) for word in words]
    return _cluster(seed, *events, watchdog=watchdog, lease=lease)


def _no_watchdog(seed: int) -> Scenario:
    return _cut_off(seed, "sanlock.crash", watchdog=False, lease=DOMAIN)


def _unleased(seed: int) -> Scenario:
    return _cut_off(seed, "sanlock.release", watchdog=True, lease="")


def _mistaken(seed: int) -> Scenario:
    """A person is wrong about a host whose heartbeat nobody sees afresh."""
    at, node1 = _at(seed), {"host": "node1"}
    return _cluster(
        seed,
        EventSpec(at, "host.isolate", node1),
        EventSpec(at, "bmc.fail", node1),
        EventSpec(at, "storage.stale_read", {"reader": "node2"}),
        EventSpec(at, "storage.stale_read", {"reader": "node3"}),
        EventSpec(at + 60, "admin.confirm_rebooted", {**node1, "truthful": False}),
    )


def _without_watchdog(host: HostFacts, now: datetime) -> bool:
    return any(is_dead_in(track, host.last_seen, now) for track in host.heartbeats)


def _everybody(cluster: ClusterFacts, now: datetime) -> list[VmFacts]:
    """Take over whatever runs on a host that sanlock calls dead, leased or not."""
    lost = {
        host.pk for host in cluster.hosts if decision.decide(host, cluster.policy, now).row == 7
    }
    there = [vm for vm in cluster.vms if vm.run and vm.run.host in lost]
    return [vm for vm in there if vm.run and vm.run.state is RunState.RUNNING]


def _by_any_proof(vm: VmFacts, host: int) -> bool:
    return vm.run is None and vm.leases.left_on == host


LEASE_RULES = (
    Rule(
        "row 7: what sanlock calls dead is taken over",
        patched((takeovers, "wanted", always([]))),
        _cord,
        "I3",
    ),
    Rule(
        "row 7: only where a watchdog has made sure of it",
        patched((decision, "is_dead_by_watchdog", _without_watchdog)),
        _no_watchdog,
        "I1",
    ),
    Rule(
        "row 7: only runs that sanlock guards",
        patched((takeovers, "wanted", _everybody)),
        _unleased,
        "I1",
    ),
    Rule(
        "leases are given free by a proof of the power alone",
        patched((freeing, "was_proven_off_on", _by_any_proof)),
        _mistaken,
        "I1",
    ),
    Rule(
        "a VM that has a lease starts with it",
        patched((pure_leases, "specs", always(()))),
        _mistaken,
        "I1",
    ),
)
