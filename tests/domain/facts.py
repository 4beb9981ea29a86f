"""Facts for the pure tests: a healthy cluster, to be changed where a test says so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fencing.domain.facts import ClusterFacts, ControllerFacts, HostFacts, Identity
from fencing.domain.policy import Policy
from fencing.domain.power import PowerState
from hosts.domain.looks import GuestReason, GuestState, SeenGuest, Stamp
from hosts.domain.states import HostStatus, Wanted
from portal.lib.ha.states import HaState
from vms.domain.proofs import OpenRun
from vms.domain.restart import VmFacts
from vms.domain.states import RunState, VmState

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
UUID = "00000000-0000-4000-8000-000000000001"
POLICY = Policy()


def ago(seconds: float) -> datetime:
    """Return the moment so many seconds before NOW."""
    return NOW - timedelta(seconds=seconds)


def bmc(pk: int = 1, **changes: Any) -> ControllerFacts:
    """Return a trusted controller of proven identity that just said on."""
    facts = ControllerFacts(
        pk=pk,
        level=1,
        trusted=True,
        identity=Identity.PROVEN,
        state=PowerState.ON,
        asked_at=ago(1),
        answered_at=ago(0.9),
    )
    return replace(facts, **changes)


def off(pk: int = 1, first: float = 4, last: float = 1, **changes: Any) -> ControllerFacts:
    """Return a controller that has said off twice, first so many seconds ago."""
    series = {"state": PowerState.OFF, "first_off_at": ago(first), "off_reads": 2}
    return bmc(pk, **(series | {"asked_at": ago(last), "answered_at": ago(last - 0.1)} | changes))


def host(pk: int = 1, **changes: Any) -> HostFacts:
    """Return a host that answered two seconds ago."""
    facts = HostFacts(
        pk=pk,
        name=f"node{pk}",
        status=HostStatus.UP,
        wanted=Wanted.ACTIVE,
        ha=HaState.AVAILABLE,
        status_since=ago(3600),
        last_seen=ago(2),
        memory_mib=8192,
        vcpus=8,
        controllers=(bmc(pk),),
    )
    return replace(facts, **changes)


def silent(pk: int = 1, **changes: Any) -> HostFacts:
    """Return a host that has been silent for a minute while its BMC says on."""
    usual = {"status": HostStatus.NON_RESPONSIVE, "ha": HaState.CHECKING, "last_seen": ago(60)}
    return host(pk, **(usual | {"slow_since": ago(58), "missed_at": ago(3)} | changes))


def run(vm: int = 1, on: int = 1, **changes: Any) -> OpenRun:
    """Return a run that has been running for a minute."""
    facts = OpenRun(
        pk=vm * 10,
        vm=vm,
        vm_uuid=UUID,
        vm_name=f"vm{vm}",
        host=on,
        generation=3,
        state=RunState.RUNNING,
        started_at=ago(60),
    )
    return replace(facts, **changes)


def guest(**changes: Any) -> SeenGuest:
    """Return the running copy of :func:`run`."""
    facts = SeenGuest(
        uuid=UUID, name="vm1", state=GuestState.RUNNING, stamp=Stamp("mine", 1, 3, 10)
    )
    return replace(facts, **changes)


def ended(reason: GuestReason, **changes: Any) -> SeenGuest:
    """Return the same copy, shut off for ``reason``."""
    return guest(state=GuestState.SHUT_OFF, reason=reason, **changes)


def vm(pk: int = 1, **changes: Any) -> VmFacts:
    """Return an HA VM that wants to run and does not."""
    facts = VmFacts(
        pk=pk,
        name=f"vm{pk}",
        state=VmState.DOWN,
        ha=True,
        wanted_up=True,
        memory_mib=1024,
        vcpus=1,
    )
    return replace(facts, **changes)


def cluster(*hosts: HostFacts, vms: tuple[VmFacts, ...] = (), **changes: Any) -> ClusterFacts:
    """Return an armed cluster of these hosts."""
    facts = ClusterFacts(
        pk=1,
        name="cluster",
        armed=True,
        hosts=hosts,
        vms=vms,
        policies={item.pk: POLICY for item in hosts},
        policy=POLICY,
        hosts_lost={},
        starts_on={},
        engine_since=ago(3600),
    )
    return replace(facts, **changes)
