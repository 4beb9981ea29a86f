"""Leases in the plan: what is freed, what is taken over, what waits, and who is never touched."""

from dataclasses import replace
from typing import Any

import pytest

from fencing.domain.alerts import AlertKind
from fencing.domain.decision import Verdict, decide
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.failover import plan
from fencing.domain.intentions import AskStorage, FreeLeases, Hold, PowerOn, Raise, Start, TakeOver
from fencing.domain.power import PowerProblem
from hosts.domain.heartbeat import has_let_go, is_dead_in, stood_still
from hosts.domain.states import HostStatus
from hosts.domain.tracks import Sample, Track
from portal.lib.ha.states import HaState
from tests.domain.beats import RECORDED, read, sector, still, track
from tests.domain.facts import NOW, POLICY, ago, bmc, cluster, host, run, silent, vm
from vms.domain.condition import Condition, in_force
from vms.domain.leases import Leases, is_guarded, needed
from vms.domain.restart import LastRun, VmFacts
from vms.domain.states import EndReason, ProofKind, ResumeBehaviour, RunState

DOMAIN = RECORDED.domain
SLOT = frozenset({DOMAIN})
UNREACHABLE = bmc(problem=PowerProblem.UNREACHABLE)


def stood(seconds: float) -> Track:
    """A heartbeat that its neighbour has seen stand still for so long, renewing its own."""
    steps = range(int(seconds), -1, -10)
    samples = [read(at, 100, 5000 - at) for at in steps]
    return track(*samples)


def fresh(pk: int) -> HostFacts:
    """A host that is up and has joined the lockspace."""
    return host(pk, heartbeats=(track(read(20, 100, 1), read(1, 120, 2)),))


def guarded(**changes: Any) -> Leases:
    usual = Leases(wanted=SLOT, carried=SLOT, guarded_at=ago(2), uncached=True)
    return replace(usual, **changes)


def lost(**changes: Any) -> HostFacts:
    """A host of which nobody knows anything, and whose lockspace stood still for 150 s."""
    usual: dict[str, Any] = {"controllers": (UNREACHABLE,), "watchdog": True}
    return silent(1, **(usual | {"heartbeats": (stood(150),), "last_seen": ago(160)} | changes))


def running(leases: Leases, **changes: Any) -> VmFacts:
    return vm(run=run(), leases=leases, **changes)


def takeovers(dead: HostFacts, mine: VmFacts, **changes: Any) -> list[TakeOver]:
    facts = cluster(dead, fresh(2), fresh(3), vms=(mine,), **changes)
    return [wish for wish in plan(facts, NOW) if isinstance(wish, TakeOver)]


def test_a_guarded_run_of_a_host_that_its_watchdog_has_reset_is_taken_over() -> None:
    assert decide(lost(), POLICY, NOW).verdict is Verdict.TAKE_OVER
    assert decide(lost(), POLICY, NOW).row == 7
    (wish,) = takeovers(lost(), running(guarded()))
    assert (wish.vm, wish.host) in ((1, 2), (1, 3))


@pytest.mark.parametrize(
    "dead",
    [
        lost(watchdog=False),
        lost(heartbeats=(stood(130),)),
        lost(heartbeats=()),
        lost(controllers=(bmc(),)),
        lost(missed_at=ago(60)),
    ],
    ids=["no watchdog", "not long enough", "no heartbeat", "its BMC answers", "not looked at"],
)
def test_a_host_that_may_live_is_not_taken_over(dead: HostFacts) -> None:
    assert decide(dead, POLICY, NOW).verdict is not Verdict.TAKE_OVER
    assert takeovers(dead, running(guarded())) == []


@pytest.mark.parametrize(
    "mine",
    [
        running(guarded(carried=frozenset())),
        running(guarded(carried=frozenset({DOMAIN, 99}))),
        running(guarded(guarded_at=None)),
        running(guarded(guarded_at=ago(11))),
        running(guarded(uncached=False)),
        running(guarded(held_at=ago(9))),
        running(guarded(), ha=False),
        running(guarded(), wanted_up=False),
        running(guarded(), quarantined=True),
        running(guarded(), condition=Condition(locked="locked by ann")),
        running(guarded(), condition=Condition(suspended=True)),
        vm(run=run(contender=3), leases=guarded()),
        vm(run=run(migrating_to=3), leases=guarded()),
        vm(run=run(outstanding=True), leases=guarded()),
        vm(run=run(state=RunState.STARTING), leases=guarded()),
        vm(run=run(on=2), leases=guarded()),
    ],
    ids=[
        "no lease", "a lease elsewhere", "never read", "not read lately", "cached disks",
        "just refused", "no HA", "not wanted up", "quarantined", "locked", "suspended",
        "contended", "moving", "call outstanding", "starting", "runs elsewhere",
    ],
)  # fmt: skip
def test_a_run_of_which_sanlock_cannot_answer_is_left_alone(mine: VmFacts) -> None:
    assert takeovers(lost(), mine) == []


@pytest.mark.parametrize("held", [{"armed": False}, {"distrust": "an old database"}], ids=str)
def test_nothing_is_taken_over_where_nothing_may_be_started(held: dict[str, Any]) -> None:
    assert takeovers(lost(), running(guarded()), **held) == []


def test_after_ten_seconds_sanlock_is_asked_again() -> None:
    assert takeovers(lost(), running(guarded(held_at=ago(10))))


def test_without_room_elsewhere_a_take_over_waits_and_says_why() -> None:
    facts = cluster(lost(), host(2), vms=(running(guarded()),))
    (wish,) = (wish for wish in plan(facts, NOW) if isinstance(wish, Hold))
    assert "has not joined the lockspace" in wish.why


def test_a_person_is_asked_about_the_others_all_the_same() -> None:
    facts = cluster(lost(), fresh(2), fresh(3), vms=(running(guarded()),))
    raised = {wish.kind for wish in plan(facts, NOW) if isinstance(wish, Raise)}
    assert AlertKind.CONFIRM_REBOOT in raised


# Freeing on proof


def proven_off(**changes: Any) -> HostFacts:
    usual: dict[str, Any] = {"status": HostStatus.DOWN, "ha": HaState.FENCED}
    return host(1, **(usual | {"heartbeats": (still(),), "last_seen": ago(60)} | changes))


def down(kind: ProofKind = ProofKind.POWER_OFF, **changes: Any) -> VmFacts:
    last = LastRun(1, kind, EndReason.HOST_LOST, ago(2))
    return vm(last=last, leases=Leases(wanted=SLOT, left=SLOT, left_on=1, left_by=kind, **changes))


def _plan(dead: HostFacts, mine: VmFacts, **changes: Any) -> tuple[Any, ...]:
    return plan(cluster(dead, fresh(2), fresh(3), vms=(mine,), **changes), NOW)


def kinds(wishes: tuple[Any, ...]) -> set[type]:
    return {type(wish) for wish in wishes} & {FreeLeases, PowerOn, Start, Hold}


def test_leases_are_freed_before_the_vm_starts_and_the_host_is_switched_on() -> None:
    assert kinds(_plan(proven_off(), down())) == {FreeLeases, Hold}
    assert kinds(_plan(proven_off(free_open=True), down())) == {Hold}


@pytest.mark.parametrize(
    "done",
    [{"freed": 4}, {"free_tries": 3}, {"owner": ""}],
    ids=["freed", "failed three times", "never recorded"],
)
def test_what_is_free_or_cannot_be_freed_holds_back_nobody(done: dict[str, Any]) -> None:
    dead = proven_off(heartbeats=(replace(still(), **done),))
    assert kinds(_plan(dead, down())) == {Start, PowerOn}


def test_a_second_failure_is_not_the_last() -> None:
    dead = proven_off(heartbeats=(replace(still(), free_tries=2),))
    assert kinds(_plan(dead, down())) == {FreeLeases, Hold}


@pytest.mark.parametrize("kind", [ProofKind.MANUAL, ProofKind.KDUMP, ProofKind.REBOOTED])
def test_no_other_proof_frees_a_lease(kind: ProofKind) -> None:
    assert FreeLeases not in kinds(_plan(proven_off(), down(kind)))


@pytest.mark.parametrize(
    ("dead", "mine"),
    [
        (proven_off(power_on_open=True), down()),
        (proven_off(status=HostStatus.REBOOTING), down()),
        (proven_off(), replace(down(), run=run(on=2))),
        (proven_off(), replace(down(), leases=replace(down().leases, left_on=3))),
        (proven_off(), replace(down(), leases=replace(down().leases, left=frozenset({99})))),
    ],
    ids=["switched on", "booting", "runs again", "left another host", "another domain"],
)
def test_nothing_is_freed_that_need_not_be(dead: HostFacts, mine: VmFacts) -> None:
    assert FreeLeases not in kinds(_plan(dead, mine))


@pytest.mark.parametrize("held", [{"armed": False}, {"distrust": "an old database"}], ids=str)
def test_nothing_is_freed_where_nothing_may_be_started(held: dict[str, Any]) -> None:
    assert FreeLeases not in kinds(_plan(proven_off(), down(), **held))


# Waiting for sanlock


def held(seconds: float, **changes: Any) -> ClusterFacts:
    waiting = down(ProofKind.MANUAL, held_at=ago(seconds))
    return cluster(proven_off(), fresh(2), fresh(3), vms=(replace(waiting, **changes),))


def test_a_vm_whose_lease_is_held_waits_ten_seconds_and_says_so() -> None:
    wishes = plan(held(9), NOW)
    (hold,) = (wish for wish in wishes if isinstance(wish, Hold))
    assert "sanlock has not given its lease" in hold.why
    assert AlertKind.LEASE_HELD in {wish.kind for wish in wishes if isinstance(wish, Raise)}
    assert Start in kinds(plan(held(10), NOW))


@pytest.mark.parametrize(
    ("seconds", "changes"),
    [(31, {}), (5, {"wanted_up": False}), (5, {"quarantined": True})],
    ids=["long ago", "not wanted up", "quarantined"],
)
def test_nobody_is_told_of_a_lease_that_nobody_waits_for(
    seconds: float, changes: dict[str, Any]
) -> None:
    raised = {wish.kind for wish in plan(held(seconds, **changes), NOW) if isinstance(wish, Raise)}
    assert AlertKind.LEASE_HELD not in raised


def test_a_vm_starts_only_where_the_lockspace_is_joined() -> None:
    gone = host(2, heartbeats=(track(read(20, 0, 1), read(1, 0, 2)),))
    stands = host(3, heartbeats=(stood(60),))
    strange = host(4, heartbeats=(replace(RECORDED, domain=99),))
    facts = cluster(gone, stands, strange, vms=(vm(leases=Leases(wanted=SLOT)),))
    assert kinds(plan(facts, NOW)) == {Hold}
    assert kinds(plan(replace(facts, hosts=(gone, fresh(3))), NOW)) == {Start}


@pytest.mark.parametrize(
    ("kind", "both"), [(ProofKind.MANUAL, True), (ProofKind.KDUMP, True), (None, False),
    (ProofKind.POWER_OFF, False), (ProofKind.OBSERVED_OFF, False)],
)  # fmt: skip
def test_a_word_about_the_last_life_asks_for_its_slots_as_well(
    kind: ProofKind | None, both: bool
) -> None:
    leases = Leases(wanted=frozenset({1}), left=frozenset({2}), left_by=kind)
    assert needed(leases) == (frozenset({1, 2}) if both else frozenset({1}))


def test_what_was_read_guards_for_ten_seconds() -> None:
    assert is_guarded(guarded(guarded_at=ago(10)), NOW)
    assert not is_guarded(guarded(guarded_at=ago(10.1)), NOW)


def test_the_host_of_a_leased_run_is_read_often() -> None:
    def asked(seconds: float, leases: Leases) -> bool:
        beat = track(read(seconds + 20, 100, 1), read(seconds, 120, 2), start=RECORDED)
        beat = replace(beat, learned_at=ago(seconds))
        facts = cluster(host(1, heartbeats=(beat,)), fresh(2), vms=(running(leases),))
        return any(isinstance(wish, AskStorage) and wish.host == 1 for wish in plan(facts, NOW))

    assert asked(10, guarded(guarded_at=None))
    assert not asked(9, guarded(guarded_at=None))
    assert asked(20, guarded())
    assert not asked(19, guarded())
    assert not asked(59, guarded(carried=frozenset()))


def test_a_leased_vm_that_ha_protects_never_stays_paused() -> None:
    chosen = ResumeBehaviour.LEAVE_PAUSED
    assert in_force(chosen, ha=True, leased=True) is ResumeBehaviour.KILL
    assert in_force(chosen, ha=False, leased=True) is chosen
    assert in_force(chosen, ha=True, leased=False) is chosen


def test_a_host_is_dead_in_a_lockspace_after_140_seconds() -> None:
    assert is_dead_in(stood(150), ago(160), NOW)
    assert not is_dead_in(stood(130), ago(160), NOW)
    assert not is_dead_in(replace(stood(150), asked_at=ago(11)), ago(160), NOW)
    quick = replace(stood(80), renewal_s=4.0)
    assert is_dead_in(replace(quick, reader_moved_at=NOW), ago(100), NOW)


def test_a_sanlock_lets_go_where_it_or_nobody_can_renew() -> None:
    assert has_let_go(stood(30))
    assert not has_let_go(stood(20))
    unread = Sample(ago(1), 2, answered=False)
    assert has_let_go(track(read(62, 100, 1), unread))
    assert not has_let_go(track(read(58, 100, 1), unread))
    stale = Sample(ago(1), 2, sector(100), sector(0, owner="reader"))
    assert not has_let_go(track(read(62, 100, 1), stale))


def test_a_heartbeat_stood_still_when_it_missed_a_renewal() -> None:
    assert stood_still(stood(30))
    assert not stood_still(stood(20))
    assert not stood_still(RECORDED)
