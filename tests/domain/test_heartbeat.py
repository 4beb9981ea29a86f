"""The storage heartbeat: when it shows life, when it stands still, and when it says nothing."""

from dataclasses import replace
from datetime import datetime

import pytest

from hosts.domain.heartbeat import Beat, heartbeat, is_dead_in, lost_by_all
from hosts.domain.lockspace import MAGIC, build_record
from hosts.domain.tracks import Problem, Sample, Track, next_reader, sampled
from tests.domain.beats import RECORDED, advancing, read, sector, still, track, unreadable
from tests.domain.facts import NOW, ago

SEEN = ago(60)


def _says(*tracks: Track, silence: float = 20) -> tuple[Beat, bool]:
    found = heartbeat(tracks, silence, SEEN, NOW)
    return found.beat, found.enough


def test_a_timestamp_that_moves_shows_life() -> None:
    assert _says(advancing()) == (Beat.ADVANCES, False)


def test_what_moved_before_the_last_good_look_is_no_news() -> None:
    old = track(read(80, 100, 1), read(55, 120, 2), read(1, 120, 5))
    assert heartbeat([old], 20, SEEN, NOW).beat is not Beat.ADVANCES


def test_it_is_still_for_long_enough_after_two_renewal_periods_and_not_before() -> None:
    assert _says(still(40)) == (Beat.STILL, True)
    assert _says(still(39)) == (Beat.STILL, False)
    assert _says(still(59), silence=60) == (Beat.STILL, False)
    assert _says(still(60), silence=60) == (Beat.STILL, True)


def test_a_heartbeat_that_stood_still_while_the_host_answered_says_nothing_of_its_death() -> None:
    """Its sanlock had stalled; seconds of silence are no death, however old the heartbeat is."""
    seen_late = heartbeat([still(60)], 20, ago(34), NOW)
    assert (seen_late.beat, seen_late.enough, seen_late.settled) == (Beat.UNKNOWN, False, True)
    assert "while the host answered" in seen_late.why
    in_time = heartbeat([still(60)], 20, ago(35), NOW)
    assert (in_time.beat, in_time.enough) == (Beat.STILL, True)


def test_a_heartbeat_that_moved_and_stopped_is_still_in_the_end() -> None:
    stopped = track(read(60, 100, 1), read(45, 120, 2), read(20, 120, 3), read(0, 120, 4))
    assert _says(stopped) == (Beat.STILL, True)


def test_without_the_readers_own_heartbeat_moving_stillness_is_not_counted() -> None:
    cached = track(*(read(at, 100, 1) for at in (60, 50, 40, 36)))
    assert cached.problem is None
    assert heartbeat([cached], 20, SEEN, ago(36)).still_s == 20
    stale = track(*(read(at, 100, 1) for at in (60, 40, 30, 1)))
    assert stale.problem is Problem.STALE
    assert track(read(0, 100, 2), start=stale).problem is None
    assert _says(stale)[0] is Beat.UNKNOWN


def test_a_reader_that_turns_stale_late_buys_no_more_than_one_period() -> None:
    late = track(read(44, 100, 1), read(24, 100, 21), read(0, 100, 21))
    assert late.problem is None
    assert heartbeat([late], 20, SEEN, NOW).still_s == 40
    longer = track(read(64, 100, 1), read(44, 100, 21), read(20, 100, 21))
    assert heartbeat([longer], 20, SEEN, ago(20)).still_s == 40


def test_a_released_heartbeat_is_still_and_never_an_advance() -> None:
    released = track(read(45, 100, 1), read(40, 0, 2), read(1, 0, 3), read(0, 0, 4))
    assert _says(released) == (Beat.STILL, True)


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        (Sample(ago(1), 0), Problem.NO_READER),
        (Sample(ago(1), 2, answered=False), Problem.NO_ANSWER),
        (Sample(ago(1), 2, None, sector(1)), Problem.MALFORMED),
        (Sample(ago(1), 2, sector(1), None), Problem.MALFORMED),
        (Sample(ago(1), 2, sector(1, owner="other"), sector(1)), Problem.FOREIGN),
        (Sample(ago(1), 2, sector(1, generation=3), sector(1)), Problem.FOREIGN),
        (Sample(ago(1), 2, sector(0, generation=5), sector(1)), Problem.FOREIGN),
        (Sample(ago(1), 2, sector(1), sector(0)), Problem.STALE),
    ],
)
def test_a_reading_with_a_flaw_is_unknown(sample: Sample, problem: Problem) -> None:
    flawed = track(sample)
    assert flawed.problem is problem
    assert _says(flawed) == (Beat.UNKNOWN, False)


def test_a_sector_that_was_never_recorded_while_the_host_was_up_is_unknown() -> None:
    assert track(read(1, 100, 1), start=Track(7, "shared1")).problem is Problem.FOREIGN


def test_whose_sector_it_is_is_recorded_while_the_host_is_up_only() -> None:
    records = (sector(5, generation=6), sector(1))
    raw = [build_record(MAGIC, 1, record) for record in records]
    up = sampled(RECORDED, ago(1), 2, raw, [2], host_is_up=True)
    assert (up.generation, up.problem) == (6, None)
    silent = sampled(RECORDED, ago(1), 2, raw, [2], host_is_up=False)
    assert (silent.generation, silent.problem) == (4, Problem.LATER)


def _later(track: Track, last_seen: datetime) -> tuple[Beat, bool]:
    found = heartbeat([track], 20, last_seen, NOW)
    return found.beat, found.settled


def _rejoined(seconds_ago: float, host: int) -> Sample:
    own = sector(100 - int(seconds_ago), owner="reader", generation=1)
    return Sample(ago(seconds_ago), 2, sector(host, generation=5), own)


def test_a_host_that_joins_again_while_it_is_silent_lives() -> None:
    joined = track(read(30, 100, 1), _rejoined(20, 7), _rejoined(1, 7))
    assert joined.problem is Problem.LATER
    assert _later(joined, ago(35)) == (Beat.ADVANCES, True)


def test_that_a_host_joined_again_before_it_fell_silent_is_no_news() -> None:
    joined = track(read(30, 100, 1), _rejoined(4, 7))
    assert _later(joined, ago(5)) == (Beat.UNKNOWN, False)
    moved = track(read(30, 100, 1), _rejoined(4, 7), _rejoined(1, 27))
    assert _later(moved, ago(5)) == (Beat.ADVANCES, True)


def test_a_later_life_that_stands_still_is_never_called_dead() -> None:
    gone = track(read(99, 100, 1), *(_rejoined(ago_s, 7) for ago_s in (60, 45, 30, 15, 1)))
    assert _later(gone, ago(100)) == (Beat.UNKNOWN, True)
    assert not is_dead_in(gone, ago(300), NOW)


def test_old_samples_are_unknown_and_more_is_to_come() -> None:
    aged = heartbeat([still()], 20, SEEN, ago(-10.1))
    assert (aged.beat, aged.settled) == (Beat.UNKNOWN, False)
    assert heartbeat([still()], 20, SEEN, ago(-10)).beat is Beat.STILL


def test_any_domain_shows_life_and_only_all_readable_ones_show_stillness() -> None:
    assert _says(still(), advancing("b"))[0] is Beat.ADVANCES
    assert _says(still(), still(10, "b")) == (Beat.STILL, False)
    assert _says(still(), unreadable("b")) == (Beat.STILL, True)
    assert _says(unreadable(), unreadable("b"))[0] is Beat.UNKNOWN
    assert _says()[0] is Beat.UNKNOWN


def test_every_neighbour_is_tried_before_it_is_called_unknown() -> None:
    one = track(Sample(ago(2), 2, answered=False), readers=(2, 3))
    assert next_reader(one, [2, 3]) == 3
    assert not heartbeat([one], 20, SEEN, NOW).settled
    both = track(Sample(ago(1), 3, answered=False), readers=(2, 3), start=one)
    assert heartbeat([both], 20, SEEN, NOW).settled
    assert lost_by_all(both)
    assert next_reader(both, [2, 3]) == 2
    again = track(Sample(ago(0.5), 2, answered=False), readers=(2, 3), start=both)
    assert heartbeat([again], 20, SEEN, NOW).settled
    assert not track(read(0, 100, 1), start=again).exhausted


def test_a_foreign_sector_is_not_the_domains_fault() -> None:
    assert not lost_by_all(track(Sample(ago(1), 2, sector(1, owner="other"), sector(1))))


def test_a_new_reader_counts_stillness_anew_and_keeps_a_move_that_was_seen() -> None:
    other = track(read(-1, 100, 5, reader=3), readers=(2, 3), start=still(50))
    assert _says(other) == (Beat.STILL, False)
    alive = track(read(0, 120, 5, reader=3), readers=(2, 3), start=advancing())
    assert _says(alive)[0] is Beat.ADVANCES


def test_an_answer_to_an_older_question_changes_nothing() -> None:
    now = still()
    assert track(read(30, 500, 9), start=now) == now


def test_nobody_to_ask_is_told_as_such() -> None:
    assert next_reader(RECORDED, []) == 0
    assert next_reader(replace(RECORDED, reader=3), [2, 3]) == 3
