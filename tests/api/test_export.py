"""Events as a file: whole, narrowed as the list is, and harmless to a spreadsheet."""

import asyncio
import csv
import io
import json
from typing import Any

import pytest
from django.test import AsyncClient
from rest_framework.test import APIClient

from fencing.api import export
from portal.core.models import ApiToken, Event, Role
from portal.core.services import record_event
from portal.lib import clock
from tests.api.conftest import API, Centre, Speaks, add_person, problem
from tests.api.full import Full, full

__all__ = ["full"]
PATH = f"{API}/events/export/"
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")


def text_of(answer: Any) -> str:
    """Return a streamed answer as text."""
    assert answer.status_code == 200
    return b"".join(answer).decode()


def test_a_spreadsheet_calculates_with_nothing_that_was_exported(
    full: Full, admin: APIClient
) -> None:
    for text in ("+1", "-1", "@SUM(A1)", "\tx", "\rx", "＝1", "a, “b”\nc"):
        record_event("test", text, now=clock.now())
    answer = admin.get(PATH)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="events.csv"' in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(text_of(answer))))
    assert len(rows) == Event.objects.count()
    texts = [row["text"] for row in rows]
    assert "'=1+1 failed" in texts
    assert "a, “b”\nc" in texts
    assert not [text for text in texts if text.startswith(("=", "+", "-", "@", "\t", "\r", "＝"))]
    assert json.loads(rows[0]["evidence"]) == {"state": "on"}


def test_lines_of_json_are_the_events_of_the_list(full: Full, admin: APIClient) -> None:
    for number in range(3):
        record_event("test", str(number), now=clock.now(), host=full.centre.far1.pk)
    lines = text_of(admin.get(PATH, {"format": "jsonl", "kind": "test"})).splitlines()
    listed = admin.get(f"{API}/events/?kind=test").json()["results"]
    assert [json.loads(line) for line in lines] == listed[::-1]


def test_a_file_holds_only_what_the_role_covers(full: Full, speaks: Speaks) -> None:
    record_event("test", "of far1", now=clock.now(), host=full.centre.far1.pk)
    client = speaks("viewer", "host", full.centre.far1.pk)
    lines = text_of(client.get(PATH, {"format": "jsonl"})).splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["of far1"]


def test_a_wrong_form_or_filter_is_named(full: Full, admin: APIClient) -> None:
    problem(admin.get(PATH, {"format": "xlsx"}), 400, "format")
    problem(admin.get(PATH, {"page": 1}), 400, "page")
    problem(admin.get(f"{API}/hosts/?format=csv"), 400, "format")


@pytest.mark.django_db(transaction=True)
def test_a_long_file_is_written_as_it_is_read(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", 2)
    for number in range(5):
        record_event("test", str(number), now=clock.now())
    _, secret = ApiToken.objects.create(user=add_person("ann", Role.VIEWER), scope="viewer")

    async def pieces() -> list[bytes]:
        answer: Any = await AsyncClient().get(
            PATH, {"format": "jsonl"}, headers={"Authorization": f"Bearer {secret}"}
        )
        return [piece async for piece in answer.streaming_content]

    assert [piece.count(b"\n") for piece in asyncio.run(pieces())] == [2, 2, 1]
