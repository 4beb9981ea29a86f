"""One resource over the three operation tables."""

from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import F, Model, QuerySet, Value
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.permissions import TABLES, find, visible
from portal.core.filtering import GREATEST, refuse_unknown
from portal.core.models import OPEN_STATES, Operation, OperationState, Role
from portal.core.pagination import Pages
from portal.core.permissions import Scopes, scopes_of
from portal.core.problems import Problem
from portal.core.rest import Door
from portal.core.shapes import OperationSerializer, as_operation

_FILTERS = [
    OpenApiParameter("state", str, description="A state, or “open”"),
    OpenApiParameter("kind", str),
    OpenApiParameter("host", int),
    OpenApiParameter("vm", int),
    OpenApiParameter("page", int),
    OpenApiParameter("page_size", int),
]


class Merged(Sequence[Operation]):
    """Several tables as one list, newest first.

    The database finds the numbers of a page's rows among all of them; only those rows
    are loaded, so that the last page takes no longer than the first.
    """

    def __init__(self, lists: Sequence[QuerySet[Any]]) -> None:
        self._lists = lists

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
        page = first.union(*others, all=True).order_by(*(f"-{name}" for name in names))[index]
        found = [(table, pk) for _, table, pk in page]
        loaded = {
            (table, row.pk): row
            for table, rows in enumerate(self._lists)
            for row in rows.filter(pk__in=[pk for at, pk in found if at == table])
        }
        return [loaded[key] for key in found if key in loaded]


def _id(name: str, given: str) -> int:
    if given.isascii() and given.isdigit() and len(given) < 20 and int(given) <= GREATEST:
        return int(given)
    cure = f"Give the {name}'s id, a number."
    raise Problem(400, "invalid", f"{name}: {given[:40]!r} is no id", cure=cure, field=name)


def _word(name: str, given: str, known: Collection[str] = ()) -> str:
    if (known and given not in known) or not given.isprintable() or len(given) > 100:
        cure = f"Write one of {', '.join(known)}." if known else "Write the name of a kind."
        raise Problem(400, "invalid", f"{name}: there is no {given[:40]!r}", cure=cure, field=name)
    return given


def _filtered(rows: QuerySet[Any], model: type[Model], query: Any) -> QuerySet[Any]:
    state, kind = query.get("state"), query.get("kind")
    if state:
        _word("state", state, ("open", *OperationState.values))
        rows = rows.filter(state__in=OPEN_STATES if state == "open" else [state])
    if kind:
        rows = rows.filter(kind=_word("kind", kind))
    names = {field.name for field in model._meta.get_fields()}
    for name in ("host", "vm"):
        given = query.get(name)
        if not given:
            continue
        number = _id(name, given)
        rows = rows.filter(**{name: number}) if name in names else rows.none()
    return rows


@extend_schema(tags=["operations"])
class OperationViewSet(Door, viewsets.ViewSet):
    """Operations: all work asked for, whoever asked, with its steps and how it ended."""

    role = Role.VIEWER
    filter_backends = ()  # it filters by itself: its rows are of three tables
    lookup_value_regex = r"[a-z]+-[0-9]{1,18}"

    def _scopes(self) -> Scopes:
        return scopes_of(self.request.user, Role.VIEWER, self.request.auth)

    @extend_schema(
        responses=OperationSerializer(many=True),
        parameters=_FILTERS,
        operation_id="operations_list",
    )
    def list(self, request: Request) -> Response:
        """Return operations of all three tables, newest first."""
        refuse_unknown(request, [item.name for item in _FILTERS])
        scopes = self._scopes()
        lists = [
            _filtered(visible(prefix, scopes), TABLES[prefix][0], request.query_params)
            for prefix in TABLES
        ]
        pages = Pages()
        page = pages.paginate_queryset(Merged(lists), request, view=self)
        return pages.get_paginated_response([as_operation(row) for row in page or []])

    @extend_schema(
        responses=OperationSerializer,
        parameters=[OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH)],
    )
    def retrieve(self, request: Request, pk: str = "") -> Response:
        """Return one operation, by an id such as ``vm-12``."""
        return Response(as_operation(find(pk, self._scopes())))
