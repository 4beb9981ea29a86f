"""What two hosts show of a copy that moves between them, and what may be concluded."""

from dataclasses import replace
from datetime import timedelta

import pytest

from hosts.domain.looks import GuestReason, GuestState, Look, SeenGuest, Stamp
from tests.domain.facts import NOW, run
from vms.domain.migrating import (
    Pair,
    There,
    Verdict,
    began_before,
    is_carried_on_elsewhere,
    judge,
    may_have_left,
    never_ran_there,
    only_arrives,
    there_of,
)
from vms.domain.sightings import Asked, KnownVm, Sighting
from vms.domain.sightings import judge as judge_look

T, V = There, Verdict
NONE, LONG = timedelta(0), timedelta(hours=1)
RUN = run(generation=3, migrating_to=2, migrating_since=NOW)
COPY = SeenGuest(RUN.vm_uuid, "vm1", GuestState.RUNNING, stamp=Stamp("here", 1, 3, 1))


def off(reason: GuestReason) -> SeenGuest:
    return replace(COPY, state=GuestState.SHUT_OFF, reason=reason)


def paused(reason: GuestReason) -> SeenGuest:
    return replace(COPY, state=GuestState.PAUSED, reason=reason)


@pytest.mark.parametrize(
    ("guest", "sending", "shown"),
    [
        (None, False, T.GONE),
        (COPY, False, T.RUNS),
        (COPY, True, T.SENDS),
        (paused(GuestReason.USER), False, T.RUNS),
        (paused(GuestReason.MIGRATING), False, T.ARRIVES),
        (paused(GuestReason.MIGRATING), True, T.SENDS),
        (paused(GuestReason.POSTCOPY_FAILED), True, T.BROKEN),
        (off(GuestReason.MIGRATED), False, T.GONE),
        (off(GuestReason.SHUTDOWN), False, T.ENDED),
        (off(GuestReason.CRASHED), False, T.ENDED),
        (off(GuestReason.DAEMON), False, T.LOST),
        (off(GuestReason.NONE), False, T.LOST),
    ],
)
def test_what_a_host_shows_of_a_copy_has_one_name(
    guest: SeenGuest | None, sending: bool, shown: There
) -> None:
    assert there_of(guest, RUN, sending=sending) is shown


def test_a_definition_of_an_earlier_life_says_nothing_about_this_one() -> None:
    old = replace(off(GuestReason.NONE), stamp=Stamp("here", 1, 2, 1))
    assert there_of(old, RUN) is T.GONE
    assert there_of(replace(old, state=GuestState.RUNNING), RUN) is T.SILENT


@pytest.mark.parametrize(
    ("source", "target", "at_once", "late"),
    [
        # While it is sent nothing is concluded, whatever the target shows.
        *((T.SENDS, target, V.WAIT, V.WAIT) for target in There),
        (T.RUNS, T.GONE, V.STAYS, V.STAYS),
        (T.RUNS, T.RUNS, V.SPLIT, V.SPLIT),
        (T.RUNS, T.SILENT, V.WAIT, V.WAIT),
        (T.RUNS, T.ARRIVES, V.WAIT, V.CLEAN),
        (T.RUNS, T.LOST, V.CLEAN, V.CLEAN),
        (T.GONE, T.RUNS, V.MOVED, V.MOVED),
        (T.GONE, T.ENDED, V.MOVED, V.MOVED),
        (T.GONE, T.LOST, V.MOVED, V.MOVED),
        (T.GONE, T.SILENT, V.WAIT, V.MOVED),
        (T.GONE, T.ARRIVES, V.WAIT, V.CLEAN),
        (T.GONE, T.GONE, V.WAIT, V.WAIT),
        (T.ENDED, T.GONE, V.STAYS, V.STAYS),
        (T.ENDED, T.RUNS, V.MOVED, V.MOVED),
        (T.ENDED, T.ARRIVES, V.CLEAN, V.CLEAN),
        (T.ENDED, T.SILENT, V.WAIT, V.WAIT),
        (T.LOST, T.RUNS, V.END_SOURCE, V.END_SOURCE),
        (T.LOST, T.GONE, V.STAYS, V.STAYS),
        (T.LOST, T.SILENT, V.WAIT, V.WAIT),
        (T.LOST, T.ARRIVES, V.WAIT, V.CLEAN),
        # A silent source proves nothing: it may run, and it may have handed over.
        (T.SILENT, T.RUNS, V.WAIT, V.WAIT),
        (T.SILENT, T.ENDED, V.WAIT, V.WAIT),
        (T.SILENT, T.SILENT, V.WAIT, V.WAIT),
        (T.SILENT, T.GONE, V.STAYS, V.STAYS),
        (T.SILENT, T.ARRIVES, V.WAIT, V.CLEAN),
        (T.BROKEN, T.BROKEN, V.CLEAN, V.CLEAN),
        (T.BROKEN, T.GONE, V.BROKEN, V.BROKEN),
        (T.BROKEN, T.SILENT, V.WAIT, V.WAIT),
    ],
)
def test_each_pair_of_answers_has_its_verdict(
    source: There, target: There, at_once: Verdict, late: Verdict
) -> None:
    assert judge(Pair(source, target), NONE) is at_once
    assert judge(Pair(source, target), LONG) is late


def test_a_target_that_was_asked_before_the_source_was_gone_is_asked_again() -> None:
    assert judge(Pair(T.GONE, T.GONE, source_gone_before=True), NONE) is V.STAYS


@pytest.mark.parametrize("source", list(There))
@pytest.mark.parametrize("target", list(There))
def test_a_run_leaves_its_host_only_when_that_says_so(source: There, target: There) -> None:
    for shown_for in (NONE, LONG):
        for before in (False, True):
            verdict = judge(Pair(source, target, before), shown_for)
            if verdict is V.MOVED:
                assert source in (T.GONE, T.ENDED)
            if verdict is V.STAYS:
                assert target is T.GONE


def test_a_copy_of_the_present_generation_on_a_third_host_is_being_migrated() -> None:
    here = run(generation=3)
    assert is_carried_on_elsewhere(COPY, here, 2)
    assert not is_carried_on_elsewhere(COPY, here, 1)
    assert not is_carried_on_elsewhere(COPY, None, 2)
    assert not is_carried_on_elsewhere(replace(COPY, stamp=None), here, 2)
    old = replace(COPY, stamp=Stamp("here", 1, 2, 1))
    assert not is_carried_on_elsewhere(old, here, 2)
    assert not is_carried_on_elsewhere(COPY, replace(here, outstanding=True), 2)


def test_a_proof_about_the_target_counts_from_when_the_migration_began() -> None:
    assert began_before(RUN, NOW)
    assert not began_before(RUN, NOW - timedelta(seconds=1))
    assert not began_before(run(), NOW)


def test_only_what_was_never_whole_at_the_target_ends_with_its_source() -> None:
    assert never_ran_there(T.ARRIVES, source_is_off=False)
    assert never_ran_there(T.GONE, source_is_off=True)
    assert not never_ran_there(T.GONE, source_is_off=False)
    assert not never_ran_there(T.RUNS, source_is_off=True)
    assert not never_ran_there(T.LOST, source_is_off=True)


def test_a_copy_may_have_left_where_it_is_absent_or_migrated() -> None:
    assert may_have_left(None)
    assert may_have_left(off(GuestReason.MIGRATED))
    assert not may_have_left(off(GuestReason.DAEMON))


def _seen(guest: SeenGuest, run_there: object, host: int) -> list[Sighting]:
    vm = KnownVm(1, RUN.vm_uuid, "vm1", 3, ha=True)
    runs = {} if run_there is None else {1: run_there}
    look = Look("uuid", "node", 1024, 1, guests=(guest,))
    asked = Asked(host, NOW + timedelta(seconds=5), "here")
    return [item.kind for item in judge_look(look, asked, runs, {vm.uuid: vm})]  # type: ignore[arg-type]  # a run, or none


def test_looks_leave_a_run_that_moves_to_its_operation() -> None:
    assert _seen(off(GuestReason.SHUTDOWN), RUN, 1) == []
    assert _seen(off(GuestReason.NONE), RUN, 2) == []


def test_what_arrives_raises_no_alarm_and_is_taken_away_once_its_life_is_over() -> None:
    arrives = paused(GuestReason.MIGRATING)
    assert only_arrives(arrives)
    assert _seen(arrives, run(generation=3), 2) == [Sighting.CARRIED]
    assert _seen(arrives, None, 2) == [Sighting.HALF]
    assert _seen(COPY, None, 2) == [Sighting.STALE]
