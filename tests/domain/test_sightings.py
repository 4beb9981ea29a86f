"""What a look says about runs: one finding for each story."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.domain.looks import GuestReason, GuestState, Look, SeenGuest, Stamp
from tests.domain.facts import NOW, UUID, ended, guest, run
from vms.domain.proofs import OpenRun
from vms.domain.sightings import Asked, Finding, KnownVm, Sighting, judge
from vms.domain.states import RunState

S = Sighting
KNOWN = KnownVm(pk=1, uuid=UUID, name="vm1", generation=3, ha=True)
ASKED = Asked(host=1, at=NOW, installation="mine")


def _judge(
    *guests: SeenGuest, open_run: OpenRun | None = None, known: KnownVm = KNOWN, **asked: Any
) -> list[Finding]:
    look = Look("host", "node1", 8192, 8, guests=guests)
    runs = {1: open_run} if open_run else {}
    return list(judge(look, replace(ASKED, **asked), runs, {UUID: known}))


def _kinds(*guests: SeenGuest, **more: Any) -> list[Sighting]:
    return [finding.kind for finding in _judge(*guests, **more)]


def test_its_own_run_executes() -> None:
    assert _kinds(guest(), open_run=run()) == [S.RUNNING]


@pytest.mark.parametrize("reason", [GuestReason.CRASHED, GuestReason.SHUTDOWN])
def test_libvirt_saw_it_die(reason: GuestReason) -> None:
    assert _kinds(ended(reason), open_run=run()) == [S.DIED]


@pytest.mark.parametrize("reason", [GuestReason.NONE, GuestReason.DAEMON, GuestReason.MIGRATED])
def test_off_without_a_known_ending_must_be_settled(reason: GuestReason) -> None:
    assert _kinds(ended(reason), open_run=run()) == [S.VANISHED]


def test_absence_must_be_settled() -> None:
    assert _kinds(open_run=run()) == [S.VANISHED]


def test_a_reboot_explains_absence() -> None:
    assert _kinds(open_run=run(), rebooted=True) == [S.REBOOTED]
    assert _kinds(ended(GuestReason.NONE), open_run=run(), rebooted=True) == [S.REBOOTED]


def test_a_reboot_is_told_of_a_run_on_its_way_elsewhere_and_mere_absence_is_not() -> None:
    assert _kinds(open_run=run(migrating_to=2), rebooted=True) == [S.REBOOTED]
    assert _kinds(open_run=run(migrating_to=2)) == []


@pytest.mark.parametrize(
    "changes",
    [{"state": RunState.STARTING}, {"outstanding": True}, {"started_at": NOW}],
)
def test_a_run_whose_start_is_under_way_is_not_missed(changes: dict[str, Any]) -> None:
    assert _kinds(open_run=run(**changes)) == []
    assert _kinds(ended(GuestReason.CRASHED), open_run=run(**changes)) == []


def test_a_copy_without_a_stamp_and_without_another_holder_is_adopted() -> None:
    assert _kinds(guest(stamp=None)) == [S.ADOPT]


def test_a_copy_elsewhere_than_its_run_is_stale_unless_it_carries_the_runs_own_life() -> None:
    for copy in (guest(stamp=None), guest(stamp=Stamp("mine", 1, 2, 9))):
        assert _kinds(copy, open_run=run(on=2)) == [S.STALE]
    assert _kinds(guest(), open_run=run(on=2)) == [S.CARRIED]
    assert _kinds(guest(), open_run=run(on=2, state=RunState.STARTING)) == [S.STALE]


def test_a_copy_of_a_closed_run_is_stale() -> None:
    assert _kinds(guest()) == [S.STALE]


def test_an_older_generation_is_stale_even_on_the_runs_own_host() -> None:
    assert _kinds(guest(stamp=Stamp("mine", 1, 2, 9)), open_run=run()) == [S.STALE]


def test_a_newer_generation_or_another_portal_means_a_forgetful_database() -> None:
    assert _kinds(guest(stamp=Stamp("mine", 1, 4, 9)), open_run=run())[0] is S.FORGOTTEN
    assert _kinds(guest(stamp=Stamp("theirs", 1, 3, 9)), open_run=run())[0] is S.FORGOTTEN
    assert _kinds(ended(GuestReason.CRASHED, stamp=Stamp("theirs", 1, 3, 9)))[0] is S.FORGOTTEN


def test_a_definition_left_behind_goes_once_the_vm_is_elsewhere() -> None:
    assert _kinds(ended(GuestReason.NONE), open_run=run(on=2)) == [S.LEFTOVER]
    assert _kinds(ended(GuestReason.NONE)) == []
    assert _kinds(ended(GuestReason.NONE), first_contact=True) == [S.LEFTOVER]


def test_a_host_that_would_start_an_ha_vm_by_itself_is_disarmed() -> None:
    assert S.ARMED in _kinds(guest(autostart=True), open_run=run())
    assert S.ARMED in _kinds(guest(managed_save=True), open_run=run())
    assert S.ARMED not in _kinds(
        guest(autostart=True), open_run=run(), known=replace(KNOWN, ha=False)
    )


def test_domains_that_are_not_ours_are_nobodys_business() -> None:
    assert _kinds(guest(uuid="00000000-0000-4000-8000-0000000000ff")) == []


stamps = st.builds(
    Stamp, st.sampled_from(["mine", "theirs"]), st.just(1), st.integers(1, 4), st.just(1)
)
copies = st.builds(
    guest,
    state=st.sampled_from(GuestState),
    reason=st.sampled_from(GuestReason),
    stamp=st.none() | stamps,
)
runs = st.builds(
    run,
    on=st.integers(1, 2),
    state=st.sampled_from(RunState),
    outstanding=st.booleans(),
    migrating_to=st.none() | st.just(2),
)


@given(st.none() | copies, st.none() | runs, st.booleans(), st.booleans())
def test_an_executing_copy_ends_no_run_and_is_never_adopted_beside_one(
    copy: SeenGuest | None, open_run: OpenRun | None, rebooted: bool, first_contact: bool
) -> None:
    guests = (copy,) if copy else ()
    kinds = set(_kinds(*guests, open_run=open_run, rebooted=rebooted, first_contact=first_contact))
    if copy is not None and copy.executes:
        assert not kinds & {S.DIED, S.REBOOTED, S.VANISHED, S.LEFTOVER}
    if open_run is not None:
        assert S.ADOPT not in kinds
    if open_run is None or 1 not in open_run.holders:
        assert not kinds & {S.DIED, S.REBOOTED, S.VANISHED, S.RUNNING}


def _stamp(generation: int) -> Stamp:
    return Stamp("mine", 1, generation, 1)


def test_a_copy_that_is_being_adopted_is_its_run_whatever_it_carries_of_old() -> None:
    adopting = replace(run(), adopting=True)
    for stamp in (None, _stamp(adopting.generation - 1)):
        copy = replace(guest(), stamp=stamp)
        assert _kinds(copy, open_run=adopting) == [S.RUNNING]
    assert _kinds(replace(guest(), stamp=_stamp(2)), open_run=run()) == [S.STALE]


def test_a_copy_on_another_host_than_the_adopting_one_is_stale() -> None:
    adopting = replace(run(), adopting=True)
    for stamp in (None, _stamp(adopting.generation - 1)):
        copy = replace(guest(), stamp=stamp)
        assert _kinds(copy, open_run=adopting, host=2) == [S.STALE]


def test_a_removed_vm_is_neither_adopted_nor_frozen_and_its_return_is_told_once() -> None:
    gone = replace(KNOWN, removed=True, ha=False)
    for stamp in (None, _stamp(2)):
        copy = replace(guest(), stamp=stamp, autostart=True)
        assert _kinds(copy, known=gone) == [S.RETURNED]
        assert _kinds(copy, known=replace(gone, seen_again_on=1)) == []
        assert _kinds(copy, known=replace(gone, seen_again_on=2)) == []


def test_the_end_of_a_removed_vms_return_is_told_by_the_host_that_showed_it() -> None:
    back = replace(KNOWN, removed=True, ha=False, seen_again_on=1)
    assert _kinds(known=back) == [S.GONE_AGAIN]
    assert _kinds(ended(GuestReason.SHUTDOWN), known=back) == [S.GONE_AGAIN]
    assert _kinds(known=replace(back, seen_again_on=2)) == []


def test_a_removed_vm_with_a_newer_stamp_still_shows_that_the_database_is_old() -> None:
    gone = replace(KNOWN, removed=True)
    assert S.FORGOTTEN in _kinds(replace(guest(), stamp=_stamp(9)), known=gone)
