"""The chain of events: unbroken by races, broken by any tampering."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connection, transaction

from portal.core.models import Event
from portal.core.services import broken_seal, record_event, seal_of
from portal.lib import live
from tests.core.racing import race

T0 = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def pushed(either: str) -> Any:
    """The live port in memory, on each database."""
    port = live.MemoryLive()
    live.install(port)
    yield port.pushed
    live.install(None)


def three() -> list[Event]:
    evidence = {
        "uptime_s": 12345.678,
        "list": [1, None],
        "who": "Ä \u2192",
        "deep": {"b": 1, "a": 2},
    }
    return [
        record_event("test", f"event {number}", now=T0, evidence=evidence, host=number)
        for number in (1, 2, 3)
    ]


def test_events_written_one_by_one_are_a_whole_chain(pushed: list[Any]) -> None:
    events = three()
    assert broken_seal() is None
    assert len({event.seal for event in events}) == 3
    assert pushed == [{"type": "event", "id": event.pk, "event": "test"} for event in events]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("text", "nothing happened"), ("kind", "x"), ("rule", "row 9"), ("actor", "mallory"),
        ("evidence", '{"uptime_s": 1}'), ("host", 9), ("vm", 9), ("cluster", 9), ("incident", 9),
        ("seal", "0" * 64), ("at", "2026-01-01 12:00:01+00:00"),
    ],
)  # fmt: skip
def test_a_changed_column_is_detected_at_its_row(
    pushed: list[Any], column: str, value: str | int
) -> None:
    events = three()
    with connection.cursor() as cursor:
        sql = f'UPDATE portal_event SET "{column}" = %s WHERE id = %s'  # noqa: S608 - fixed names
        cursor.execute(sql, [value, events[1].pk])
    assert broken_seal() in (events[1].pk, events[2].pk)


def test_a_deleted_or_inserted_row_is_detected(pushed: list[Any]) -> None:
    events = three()
    Event.objects.filter(pk=events[1].pk).delete()
    assert broken_seal() == events[2].pk
    Event.objects.filter(pk=events[2].pk).delete()
    forged = Event.objects.create(at=T0, kind="test", text="forged", seal="f" * 64)
    assert broken_seal() == forged.pk


def test_a_rewritten_row_with_a_seal_of_its_own_breaks_the_next(pushed: list[Any]) -> None:
    events = three()
    event = Event.objects.get(pk=events[1].pk)
    event.text = "forged"
    event.seal = seal_of(event, events[0].seal)
    event.save()
    assert broken_seal() == events[2].pk


def _rolled_back() -> None:
    with transaction.atomic():
        record_event("test", "not to be", now=T0)
        raise ZeroDivisionError


def test_an_event_is_forgotten_with_its_transaction(pushed: list[Any]) -> None:
    three()
    with pytest.raises(ZeroDivisionError):
        _rolled_back()
    three()
    assert broken_seal() is None
    assert Event.objects.count() == 6
    assert len(pushed) == 6


def test_a_time_of_another_zone_and_evidence_of_odd_keys_stay_sealed(pushed: list[Any]) -> None:
    east = T0.astimezone(timezone(timedelta(hours=5)))
    odd: dict[Any, Any] = {10: "ten", 9: "nine", "when": T0, "pair": (1, 2)}
    record_event("test", "east", now=east, evidence=odd)
    assert broken_seal() is None


def test_events_of_many_threads_make_one_chain(pushed: list[Any]) -> None:
    def write(number: int) -> None:
        for turn in range(6):
            record_event("test", f"{number}.{turn}", now=T0, host=number)

    race(write, 6)
    assert Event.objects.count() == 36
    assert broken_seal() is None


def test_a_page_that_cannot_be_reached_costs_no_event(either: str) -> None:
    class Broken:
        def push(self, message: dict[str, str | int]) -> None:
            raise ConnectionError("no Redis")

    live.install(Broken())
    try:
        three()
    finally:
        live.install(None)
    assert Event.objects.count() == 3
