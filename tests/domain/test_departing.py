"""A host that a person sends off: what forbids it, what its VMs need, and who waits for it."""

from dataclasses import replace
from typing import Any

import pytest

from fencing.domain.alerts import AlertKind
from fencing.domain.departing import (
    STOPS_WITHIN,
    Departure,
    Guests,
    Off,
    after_reading,
    guests_wait,
    kept_for,
    obstacle,
    why_not,
    with_guests,
)
from fencing.domain.facts import DomainFacts, HostFacts, Identity
from fencing.domain.failover import plan
from fencing.domain.intentions import Hold, PowerOn, Raise, Start
from fencing.domain.policy import layered
from fencing.domain.power import PowerProblem
from fencing.domain.steps import FenceStep, Next
from hosts.domain.liveness import after_good_look
from hosts.domain.looks import GuestReason
from hosts.domain.states import HostEvent, HostStatus, Wanted
from hosts.domain.tracks import Track
from portal.lib.ha.states import HaState
from tests.domain.facts import NOW, POLICY, ago, bmc, cluster, ended, host, run, vm
from vms.domain.proofs import whose_wish
from vms.domain.restart import LastRun, VmFacts
from vms.domain.states import EndReason, ProofKind


@pytest.mark.parametrize(
    ("policy", "reboot", "shutdown"),
    [
        ("migrate", False, False),
        ("failover", False, False),
        ("freeze", True, True),
        ("conditional", True, False),
    ],
)
def test_policy_says_whether_the_vms_wait_for_their_host(
    policy: str, reboot: bool, shutdown: bool
) -> None:
    mine = layered({"shutdown_policy": policy})
    assert guests_wait(mine, Departure.REBOOT) is reboot
    assert guests_wait(mine, Departure.SHUTDOWN) is shutdown


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"is_self": True}, "this portal"),
        ({"status": HostStatus.NON_RESPONSIVE}, "does not answer"),
        ({"departing": True}, "already"),
        ({"drill_open": True}, "already"),
        ({"fence_open": True}, "already"),
        ({"power_on_open": True}, "already"),
        ({"controllers": ()}, "no power controller"),
        ({"controllers": (bmc(trusted=False),)}, "proves"),
        ({"controllers": (bmc(identity=Identity.UNPROVEN),)}, "proves"),
        ({"controllers": (bmc(problem=PowerProblem.UNREACHABLE),)}, "proves"),
    ],
)
def test_a_host_is_not_sent_off_where_that_could_not_be_done_well(
    changes: dict[str, Any], word: str
) -> None:
    found = obstacle(cluster(host(1, **changes), host(2)), host(1, **changes), POLICY, NOW)
    assert found is not None
    assert word in found.text
    assert found.cure


def test_a_healthy_host_may_be_sent_off_and_one_in_maintenance() -> None:
    assert obstacle(cluster(host(1), host(2)), host(1), POLICY, NOW) is None
    resting = host(1, status=HostStatus.MAINTENANCE)
    assert obstacle(cluster(resting, host(2)), resting, POLICY, NOW) is None


def test_a_host_that_its_storage_needs_stays_and_so_does_any_under_an_old_database() -> None:
    mine = host(1, heartbeats=(Track(domain=7, name="shared1"),))
    facts = cluster(mine, host(2), domains=(DomainFacts(7, "shared1", needs_hosts=1),))
    found = obstacle(facts, mine, POLICY, NOW)
    assert found is not None
    assert "shared1 needs 1" in found.text
    found = obstacle(cluster(host(1), distrust="an old database"), host(1), POLICY, NOW)
    assert found is not None
    assert found.text == "an old database"


_RUNS = (vm(1, run=run(1, on=1)),)


@pytest.mark.parametrize(
    ("changes", "vms", "asked", "refused", "expected"),
    [
        ({"status": HostStatus.DOWN}, _RUNS, 5, "give_up", Guests.GONE),
        ({}, _RUNS, 5, "give_up", Guests.ASK),
        ({}, _RUNS, 130, "give_up", Guests.GIVE_UP),
        ({}, _RUNS, 130, "stop", Guests.STOP),
        ({"status": HostStatus.NON_RESPONSIVE}, _RUNS, 130, "stop", Guests.WAIT),
        ({"status": HostStatus.PREPARING}, (), 5, "give_up", Guests.WAIT),
        ({"status": HostStatus.MAINTENANCE}, (), 5, "give_up", Guests.EMPTY),
        ({"status": HostStatus.NON_RESPONSIVE}, (), 5, "give_up", Guests.EMPTY),
        ({"status": HostStatus.NON_RESPONSIVE, "fence_open": True}, (), 5, "stop", Guests.WAIT),
    ],
)
def test_its_vms_are_asked_first_and_then_what_policy_says(
    changes: dict[str, Any], vms: tuple[VmFacts, ...], asked: float, refused: str, expected: Guests
) -> None:
    mine = host(1, **changes)
    policy = layered({"guest_stop_refused": refused})
    assert with_guests(cluster(mine, vms=vms), mine, ago(asked), policy, NOW) is expected


def test_its_power_is_not_touched_while_anything_runs_or_starts_there() -> None:
    assert why_not(cluster(host(1)), host(1)) == ""
    assert "vm1" in why_not(cluster(host(1), vms=_RUNS), host(1))
    assert "start" in why_not(cluster(host(1), starts_on={1: 1}), host(1))
    assert "fenced" in why_not(cluster(host(1)), host(1, fence_open=True))
    assert why_not(cluster(host(1), distrust="an old database"), host(1)) == "an old database"


def test_a_machine_that_does_not_go_off_is_cut_off_and_then_given_up() -> None:
    proven, still_on = Next(FenceStep.READ, 0, "off", proven=True), Next(FenceStep.READ, 1, "on")
    long_ago = NOW - STOPS_WITHIN
    assert after_reading(proven, cut=False, since=long_ago, now=NOW) is Off.PROVEN
    assert after_reading(still_on, cut=False, since=ago(100), now=NOW) is Off.WAIT
    assert after_reading(still_on, cut=False, since=long_ago, now=NOW) is Off.CUT
    assert after_reading(still_on, cut=True, since=ago(10), now=NOW) is Off.WAIT
    assert after_reading(still_on, cut=True, since=ago(40), now=NOW) is Off.FAIL


def test_an_end_that_the_portal_asked_for_is_not_the_guests_own_wish() -> None:
    def reason(told: GuestReason, *, wanted: bool, asked: bool) -> EndReason:
        return whose_wish(ended(told), wanted_up=wanted, asked_down=asked)

    for told in (GuestReason.SHUTDOWN, GuestReason.DESTROYED):
        assert reason(told, wanted=True, asked=True) is EndReason.HOST_SHUTDOWN
        assert reason(told, wanted=False, asked=True) is EndReason.ADMIN_STOP
    assert reason(GuestReason.CRASHED, wanted=True, asked=True) is EndReason.CRASHED
    assert reason(GuestReason.SHUTDOWN, wanted=True, asked=False) is EndReason.GUEST_SHUTDOWN


def test_a_host_that_was_shut_down_and_answers_is_not_used_before_it_is_wanted() -> None:
    assert after_good_look(fit=True, wanted=Wanted.DOWN) is HostEvent.SEEN_UNWANTED


def _frozen(**changes: Any) -> VmFacts:
    last = LastRun(1, ProofKind.OBSERVED_OFF, EndReason.HOST_SHUTDOWN, ago(30))
    return vm(1, last=last, waits_for=1, **changes)


_OFF: dict[str, Any] = {"status": HostStatus.DOWN, "ha": HaState.INELIGIBLE}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        (_OFF | {"departing": True}, True),
        (_OFF | {"wanted": Wanted.DOWN}, True),
        (_OFF | {"power_on_open": True}, True),
        ({"status": HostStatus.REBOOTING}, True),
        ({}, True),
        (_OFF, False),
        ({"status": HostStatus.NON_RESPONSIVE}, False),
        ({"status": HostStatus.MAINTENANCE, "wanted": Wanted.MAINTENANCE}, False),
    ],
)
def test_a_vm_waits_for_its_host_only_while_that_is_coming_back(
    changes: dict[str, Any], kept: bool
) -> None:
    facts = cluster(host(1, **changes), host(2, memory_mib=99999), vms=(_frozen(),))
    assert (kept_for(facts, facts.vms[0]) is not None) is kept
    starts = [item for item in plan(facts, NOW) if isinstance(item, Start)]
    if not kept:
        assert [item.host for item in starts] == [2]
    elif not changes:
        assert [item.host for item in starts] == [1], "the emptier host is not its home"
    else:
        assert starts == []
        held = [item for item in plan(facts, NOW) if isinstance(item, Hold)]
        assert "it starts on node1 again" in held[0].why


def test_a_host_without_room_or_that_refused_it_holds_a_vm_no_longer() -> None:
    full = cluster(host(1, memory_mib=10), host(2), vms=(_frozen(),))
    assert [item.host for item in plan(full, NOW) if isinstance(item, Start)] == [2]
    refused = replace(full.vms[0], refused_by=1)
    assert kept_for(full, refused) is None


def test_a_vm_that_waits_for_its_host_is_told_of_and_holds_back_nobody() -> None:
    off = host(1, wanted=Wanted.DOWN, **_OFF)
    first, second = _frozen(start_tier=1), vm(2, start_tier=2)
    wishes = plan(cluster(off, host(2), vms=(first, second)), NOW)
    assert [item.vm for item in wishes if isinstance(item, Start)] == [2]
    told = [item for item in wishes if isinstance(item, Raise)]
    assert [item.vm for item in told if item.kind is AlertKind.WAITS_FOR_HOST] == [1]


def test_automation_leaves_the_power_of_a_departing_host_alone() -> None:
    def ons(mine: HostFacts) -> int:
        return sum(isinstance(item, PowerOn) for item in plan(cluster(mine), NOW))

    fenced = host(1, status=HostStatus.DOWN, ha=HaState.FENCED)
    assert ons(fenced) == 1
    assert ons(replace(fenced, departing=True)) == 0
