"""The portal's own machine: that it runs is known for certain, and it is spared."""

from dataclasses import replace

import pytest

from fencing.domain.decision import Verdict, decide
from fencing.domain.departing import Guests, why_not, with_guests
from fencing.domain.failover import plan
from fencing.domain.intentions import Start
from hosts.domain.liveness import carries
from hosts.domain.looks import GuestReason, Look, SeenGuest, Stamp
from hosts.domain.states import HostStatus
from tests.domain.facts import NOW, POLICY, UUID, ago, cluster, ended, guest, host, off, run, silent
from tests.domain.facts import vm as facts_of_vm
from vms.domain.condition import Condition
from vms.domain.proofs import OpenRun
from vms.domain.restart import hindrance, left_alone
from vms.domain.sightings import Asked, KnownVm, Sighting, judge

KNOWN = KnownVm(pk=1, uuid=UUID, name="portal1", generation=3, ha=True)
OWN = Condition(own=True)
#: Its copy as an earlier life has marked it.
OLD = guest(stamp=Stamp("mine", 1, 2, 5))


def _kinds(*guests: SeenGuest, own: str = UUID, open_run: OpenRun | None = None) -> list[Sighting]:
    look = Look("host", "node1", 8192, 8, guests=guests)
    runs = {1: open_run} if open_run else {}
    findings = judge(look, Asked(1, NOW, "mine", own=own), runs, {UUID: KNOWN})
    return [finding.kind for finding in findings]


@pytest.mark.parametrize("status", [HostStatus.NON_RESPONSIVE, HostStatus.KDUMPING])
def test_its_host_is_never_proven_dead_by_a_bmc(status: HostStatus) -> None:
    facts = silent(controllers=(off(),), status=status)
    assert decide(facts, POLICY, NOW).verdict is Verdict.PROVEN_DEAD
    assert decide(replace(facts, is_self=True), POLICY, NOW).verdict is not Verdict.PROVEN_DEAD


def test_its_silent_host_is_left_alone_for_it_is_known_to_live() -> None:
    decision = decide(silent(is_self=True), POLICY, NOW)
    assert (decision.verdict, decision.row) == (Verdict.LEAVE_ALONE, 4)
    assert "this portal runs on it" in decision.why


def test_nobody_starts_the_vm_that_the_portal_runs_in() -> None:
    mine = facts_of_vm(1, run=None, condition=OWN)
    assert left_alone(mine) == hindrance(mine) == "this portal runs in it"
    other = replace(mine, condition=Condition())
    assert any(isinstance(wish, Start) for wish in plan(cluster(host(1), vms=(other,)), NOW))
    assert not any(isinstance(wish, Start) for wish in plan(cluster(host(1), vms=(mine,)), NOW))


def test_a_copy_with_an_old_stamp_is_adopted_where_the_portal_itself_runs_in_it() -> None:
    assert _kinds(OLD) == [Sighting.ADOPT]
    assert _kinds(OLD, own="") == [Sighting.STALE]


def test_a_copy_beside_its_open_run_is_stale_all_the_same() -> None:
    assert _kinds(OLD, open_run=run(on=2)) == [Sighting.STALE]


def test_out_of_sight_it_is_not_settled() -> None:
    assert _kinds(ended(GuestReason.DAEMON), open_run=run()) == []
    assert _kinds(ended(GuestReason.DAEMON), open_run=run(), own="") == [Sighting.VANISHED]


def test_its_hosts_autostart_stays_on_for_nobody_else_starts_it_again() -> None:
    armed = replace(guest(), autostart=True)
    assert _kinds(armed, open_run=run()) == [Sighting.RUNNING]
    assert _kinds(armed, open_run=run(), own="") == [Sighting.RUNNING, Sighting.ARMED]


def test_a_host_to_which_it_has_moved_is_not_sent_off_any_more() -> None:
    here = host(1, is_self=True, status=HostStatus.PREPARING)
    facts = cluster(here, host(2))
    assert with_guests(facts, here, ago(1), POLICY, NOW) is Guests.GIVE_UP
    assert why_not(facts, here) == "this portal runs on it"
    away = replace(here, is_self=False)
    assert why_not(cluster(away, host(2)), away) == ""


def _carries(*guests: SeenGuest, own: str = UUID, before: bool = False) -> bool:
    return carries(Look("host", "node1", 8192, 8, guests=guests), own, before=before)


def test_a_host_carries_the_machine_that_it_is_or_that_executes_on_it() -> None:
    assert _carries(own="host")
    assert _carries(guest())
    assert not _carries()
    assert not _carries(guest(), own="")
    assert not _carries(ended(GuestReason.DAEMON))


def test_a_libvirtd_that_lost_sight_of_it_does_not_move_it() -> None:
    assert _carries(ended(GuestReason.DAEMON), before=True)
    assert not _carries(ended(GuestReason.SHUTDOWN), before=True)
    assert not _carries(before=True)
