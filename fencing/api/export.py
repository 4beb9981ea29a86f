"""Events as a file: CSV for spreadsheets, JSON lines for programs, written as they are read."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from rest_framework.renderers import JSONRenderer

from fencing.serializers import EventSerializer
from portal.core.models import Event

#: Rows of one read: a long file holds neither memory nor a transaction.
BATCH = 500
CSV, LINES = "csv", "jsonl"
TYPES = {CSV: "text/csv", LINES: "application/jsonl"}
_COLUMNS = EventSerializer.Meta.fields
#: A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class CsvRenderer(JSONRenderer):
    """Lets a client ask for CSV by Accept; errors are JSON all the same."""

    media_type = TYPES[CSV]
    format = CSV


class LinesRenderer(JSONRenderer):
    """Lets a client ask for JSON lines by Accept."""

    media_type = TYPES[LINES]
    format = LINES


def exported(rows: QuerySet[Event], form: str) -> StreamingHttpResponse:
    """Return the events of ``rows``, oldest first, as a file."""
    answer = StreamingHttpResponse(
        _pieces(rows, form), content_type=f"{TYPES[form]}; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="events.{form}"'
    return answer


async def _pieces(rows: QuerySet[Event], form: str) -> AsyncIterator[bytes]:
    write = _as_csv if form == CSV else _as_lines
    if form == CSV:
        yield _as_row(_COLUMNS)
    last = 0
    while batch := await sync_to_async(_batch)(rows, last):
        last = batch[-1]["id"]
        yield write(batch)


def _batch(rows: QuerySet[Event], last: int) -> list[dict[str, Any]]:
    found = rows.order_by("pk").filter(pk__gt=last)[:BATCH]
    return [dict(item) for item in EventSerializer(found, many=True).data]


def _as_lines(batch: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(JSONRenderer().render(item) + b"\n" for item in batch)


def _as_csv(batch: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(_as_row([_cell(item[name]) for name in _COLUMNS]) for item in batch)


def _cell(value: Any) -> str:
    """Return a value as text that no spreadsheet calculates with."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _as_row(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()
