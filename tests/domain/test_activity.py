"""Disk activity: a write is a sign of life, no write is unknown."""

import pytest

from hosts.domain.activity import Activity, Writes, after_reading, writes
from tests.domain.facts import NOW, ago


def _watch(*written_at: float) -> Activity:
    """Return the samples of readings 10 s apart, the last one now."""
    activity = Activity()
    for index, at in enumerate(written_at):
        asked = ago(10 * (len(written_at) - 1 - index))
        activity = after_reading(activity, asked, {"disk": at}, keep=3, interval_s=10)
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


def test_an_unanswered_reading_is_unknown_and_an_old_one_begins_anew() -> None:
    failed = after_reading(_watch(5, 6), ago(-1), {}, keep=3, interval_s=10)
    assert _says(failed) is Writes.UNKNOWN
    late = after_reading(_watch(5, 6), ago(-31), {"disk": 9.0}, keep=3, interval_s=10)
    assert late.samples == ()


def test_samples_that_are_too_old_say_nothing() -> None:
    old = _watch(5, 6, 7, 8)
    late = writes(old, samples=3, interval_s=10, idle_share=0.7, now=ago(-30.1))
    assert late is Writes.COLLECTING
