"""Disk activity: a write is a sign of life, no write is unknown."""

import pytest

from hosts.domain.activity import Activity, Reading, Writes, after_reading, reader_of, writes
from tests.domain.facts import NOW, ago


def _watch(*written_at: float) -> Activity:
    """Return the samples of readings 10 s apart, the last one now."""
    activity = Activity()
    for index, at in enumerate(written_at):
        asked = ago(10 * (len(written_at) - 1 - index))
        activity = after_reading(
            activity, Reading(asked, {"disk": at}, 1, (1,)), keep=3, interval_s=10
        )
    return activity


def _says(activity: Activity, share: float = 0.7) -> Writes:
    return writes(activity, samples=3, interval_s=10, idle_share=share, now=NOW)


def test_the_first_reading_is_but_a_base() -> None:
    assert _watch(5).samples == ()
    assert _says(_watch(5)) is Writes.COLLECTING


def test_one_write_counts_until_all_samples_are_there() -> None:
    assert _says(_watch(5, 6)) is Writes.WRITTEN
    assert _says(_watch(5, 5)) is Writes.COLLECTING


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ((5, 6, 7, 8), Writes.WRITTEN),
        ((5, 5, 5, 6), Writes.WRITTEN),  # 2 of 3 idle: less than 0.7
        ((5, 5, 5, 5), Writes.UNKNOWN),
        ((5, 6, 6, 6, 6), Writes.UNKNOWN),  # only the newest three count
    ],
)
def test_the_share_of_idle_samples_decides(times: tuple[float, ...], said: Writes) -> None:
    assert _says(_watch(*times)) is said


def test_the_share_is_a_limit() -> None:
    assert _says(_watch(5, 5, 5, 6), share=2 / 3) is Writes.UNKNOWN


def _one_more(before: Activity, seconds: float, seen: dict[str, float], reader: int) -> Activity:
    """Ask one of three neighbours so many seconds from now."""
    reading = Reading(ago(-seconds), seen, reader, (1, 2, 3, 4))
    return after_reading(before, reading, keep=3, interval_s=10)


def test_a_neighbour_that_cannot_tell_is_followed_by_the_next_at_once() -> None:
    before = _watch(5, 6)
    after = _one_more(before, 1, {}, 1)
    assert _says(after) is Writes.WRITTEN
    assert after.asked_at == before.asked_at, "so it is due again at once"
    assert reader_of(after, [1, 2, 3]) == 2


def test_only_when_three_or_all_cannot_tell_it_is_unknown() -> None:
    activity = _watch(5, 6)
    for reader in (1, 2, 3):
        assert _says(activity) is Writes.WRITTEN
        activity = _one_more(activity, reader, {}, reader)
    assert _says(activity) is Writes.UNKNOWN
    assert reader_of(activity, [1, 2, 3]) == 1, "and the first is asked again next time"


def test_nobody_to_ask_is_unknown() -> None:
    alone = after_reading(_watch(5, 6), Reading(ago(-1), {}), keep=3, interval_s=10)
    assert _says(alone) is Writes.UNKNOWN
    assert reader_of(alone, []) == 0


def test_the_neighbour_that_answers_is_kept() -> None:
    activity = _one_more(_one_more(_watch(5, 6), 1, {}, 1), 2, {"disk": 6.0}, 2)
    assert reader_of(activity, [1, 2, 3]) == 2


def test_the_first_answer_of_another_neighbour_is_but_a_base() -> None:
    """Each caches for itself: an older time is no write."""
    activity = _one_more(_watch(5, 6), 1, {"disk": 5.5}, 2)
    assert activity.samples == (True,)
    assert _one_more(activity, 11, {"disk": 5.5}, 2).samples == (True, False)


def test_a_clock_that_steps_back_hides_no_write() -> None:
    assert _watch(5, 6, 2).samples == (True, True)


def test_a_reading_long_after_the_last_begins_anew() -> None:
    assert _one_more(_watch(5, 6), 31, {"disk": 9.0}, 1).samples == ()


def test_samples_that_are_too_old_say_nothing() -> None:
    old = _watch(5, 6, 7, 8)
    late = writes(old, samples=3, interval_s=10, idle_share=0.7, now=ago(-30.1))
    assert late is Writes.COLLECTING
