"""When it is sent, tried again and given up."""

from datetime import UTC, datetime, timedelta

from portal.notify.domain import pace

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def due(*, urgent: bool, lately: int = 0, gathering: datetime | None = None) -> float:
    """Return the seconds until a new notification is sent."""
    when = pace.first_due(urgent, sent_lately=lately, gathering=gathering, now=NOW)
    return (when - NOW).total_seconds()


def test_what_needs_a_person_goes_at_once_unless_there_is_a_flood_of_it() -> None:
    assert due(urgent=True) == 0
    assert due(urgent=True, lately=pace.BURST - 1) == 0
    assert due(urgent=True, lately=pace.BURST) == 30


def test_the_rest_waits_for_company_but_never_longer_than_the_first() -> None:
    assert due(urgent=False) == 30
    assert due(urgent=False, gathering=NOW + 4 * SECOND) == 4
    assert due(urgent=False, gathering=NOW - SECOND) == 30


def test_tries_go_on_for_a_day_and_no_longer() -> None:
    at, tries, when = NOW, 0, [0.0]
    while True:
        tries += 1
        if pace.is_given_up(tries, NOW, at):
            break
        at += pace.pause_after(tries)
        when.append((at - NOW).total_seconds())
    assert when[:6] == [0, 10, 40, 160, 760, 2560]
    assert timedelta(hours=22) < at - NOW <= pace.GIVE_UP
    assert tries == 29


def test_what_is_old_before_its_first_try_is_still_tried_three_times() -> None:
    late = NOW + timedelta(days=3)
    assert [pace.is_given_up(tries, NOW, late) for tries in (1, 2, 3)] == [False, False, True]


def test_a_claim_outlives_the_deadline_of_what_it_sends() -> None:
    assert pace.LEASE.total_seconds() > 3 * pace.DEADLINE_S


def test_a_failing_target_rests_for_at_most_a_minute() -> None:
    assert [pace.rest_after(n).total_seconds() for n in (1, 2, 3, 99)] == [10, 30, 60, 60]
