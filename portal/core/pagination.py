"""How long lists are handed out: by page, or by cursor where rows only ever grow."""

from collections.abc import Sequence
from typing import Any

from django.db.models import F, QuerySet, Value
from rest_framework.exceptions import NotFound
from rest_framework.pagination import (
    CursorPagination,
    PageNumberPagination,
)
from rest_framework.request import Request

from portal.core.filtering import GREATEST
from portal.core.models import Operation
from portal.core.problems import Problem

MOST = 200


def _size(request: Request, name: str, usual: int) -> int:
    """Return how many rows a page is to have."""
    given = request.query_params.get(name, "")
    if not given:
        return usual
    if not (given.isascii() and given.isdigit() and 0 < int(given[:20]) <= MOST):
        text = f"{name}: {given[:40]!r} is no number from 1 to {MOST}"
        cure = f"Write 1 to {MOST}, and follow “next” for more."
        raise Problem(400, "invalid", text, cure=cure, field=name)
    return int(given[:20])


class Pages(PageNumberPagination):
    """Numbered pages; ``?page_size=`` up to 200."""

    #: What chooses a page of such a list.
    parameters = frozenset({"page", "page_size"})
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = MOST

    def get_page_size(self, request: Request) -> int:
        """Return how many rows a page has."""
        return _size(request, "page_size", 50)

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        """Return the rows of the page that is asked for, or say that there is none."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except NotFound:
            given = request.query_params.get(self.page_query_param, "")[:40]
            text = f"page: there is no page {given!r}"
            cure = "Begin at page 1 and follow “next”; the list may have become shorter."
            raise Problem(404, "not_found", text, cure=cure, field="page") from None


class NewestFirst(CursorPagination):
    """A cursor through rows that are only appended: no page shifts while one reads."""

    #: What chooses a page of such a list.
    parameters = frozenset({"cursor", "page_size"})
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = MOST
    ordering = "-id"

    def get_page_size(self, request: Request) -> int:
        """Return how many rows a page has."""
        return _size(request, "page_size", 50)

    def decode_cursor(self, request: Request) -> Any:
        """Return where to go on: after an id, whatever the cursor's maker wrote into it."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise _lost() from None
        if cursor is not None and cursor.position is not None:
            at = str(cursor.position)
            if not (at.isascii() and at.isdigit() and len(at) < 20 and int(at) <= GREATEST):
                raise _lost()
        return cursor


def _lost() -> Problem:
    text = "cursor: this is no place in the list"
    cure = "Leave it out to begin with the newest, then follow “next” as it is given."
    return Problem(404, "not_found", text, cure=cure, field="cursor")


class Merged(Sequence[Operation]):
    """Several tables as one list ordered by time.

    The database finds the numbers of a page's rows among all of them; only those rows
    are loaded, so that the last page takes no longer than the first.
    """

    def __init__(self, lists: Sequence[QuerySet[Any]], *, newest_first: bool) -> None:
        self._lists = lists
        self._sign = "-" if newest_first else ""

    def __len__(self) -> int:
        return sum(rows.count() for rows in self._lists)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self[index : index + 1][0]
        keys = [
            rows.order_by().annotate(table=Value(table), number=F("pk"))
            for table, rows in enumerate(self._lists)
        ]
        names = ("requested_at", "table", "number")
        first, *others = (rows.values_list(*names) for rows in keys)
        ordered = first.union(*others, all=True).order_by(*(self._sign + name for name in names))
        found = [(table, pk) for _, table, pk in ordered[index]]
        loaded = {
            (table, row.pk): row
            for table, rows in enumerate(self._lists)
            for row in rows.filter(pk__in=[pk for at, pk in found if at == table])
        }
        return [loaded[key] for key in found if key in loaded]
