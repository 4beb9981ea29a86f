"""The ports of portal.lib: what they promise when the other side is away."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from portal.core.models import Setting
from portal.core.services import installation_id
from portal.lib import clock, ids, live, queue
from tests.core.racing import race


@pytest.fixture
def sent(either: str) -> Iterator[queue.MemoryQueue]:
    """A queue in memory."""
    port = queue.MemoryQueue()
    queue.install(port)
    yield port
    queue.install(None)


def _rolled_back() -> None:
    with transaction.atomic():
        queue.wake_on_commit("some.task", 2)
        raise ZeroDivisionError


class Away:
    """A broker that is down."""

    def send(self, task: str, args: tuple[int, ...], at: datetime | None, to: str = "") -> None:
        raise ConnectionError("no broker")


def test_the_clock_of_the_database_is_aware_and_goes_forward(either: str) -> None:
    first, second = clock.now(), clock.now()
    assert first.utcoffset() == timedelta(0)
    assert first <= second
    assert abs(second - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_clock_goes_on_within_a_transaction(either: str) -> None:
    """PostgreSQL's now() stands still there: deadlines would never pass."""
    with transaction.atomic():
        first = clock.now()
        while clock.now() == first:
            pass


def test_a_wake_up_leaves_with_the_commit_and_not_before(sent: queue.MemoryQueue) -> None:
    with transaction.atomic():
        queue.wake_on_commit("some.task", 1)
        assert sent.sent == []
    assert sent.sent == [("some.task", (1,), None)]
    with pytest.raises(ZeroDivisionError):
        _rolled_back()
    assert len(sent.sent) == 1


def test_a_broker_that_is_away_costs_no_transaction(either: str) -> None:
    queue.install(Away())
    try:
        with transaction.atomic():
            Setting.objects.create(name="kept", value=1)
            queue.wake_on_commit("some.task", 1)
        queue.wake("some.task", 1)
    finally:
        queue.install(None)
    assert Setting.objects.filter(name="kept").exists()


def test_a_push_leaves_with_the_commit(either: str) -> None:
    port = live.MemoryLive()
    live.install(port)
    try:
        with transaction.atomic():
            live.announce_on_commit("vm", 7)
            assert port.pushed == []
    finally:
        live.install(None)
    assert port.pushed == [{"type": "vm", "id": 7, "event": "changed"}]


def test_ids_never_repeat() -> None:
    source = ids.source()
    assert len({source.uuid() for _ in range(50)}) == 50
    assert all(len(source.token()) == 8 for _ in range(5))


def test_all_threads_agree_on_the_name_of_the_installation(either: str) -> None:
    told = race(lambda _: installation_id(), 6)
    assert len(set(map(str, told))) == 1, told
