"""One resource over the three operation tables."""

import functools
import operator
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.permissions import TABLES, find, visible
from fencing.services import requests
from fencing.services.inventory import NotAllowed
from portal.core.filtering import GREATEST, Moment, Search, refuse_unknown
from portal.core.models import OPEN_STATES, Operation, OperationState, Role
from portal.core.pagination import Merged, Pages
from portal.core.permissions import Scopes, scopes_of
from portal.core.problems import Problem
from portal.core.rest import Door, accepted, caller, verb
from portal.core.shapes import OperationSerializer, as_operation
from portal.lib import clock
from vms.services.inventory import NotNow

_FILTERS = [
    OpenApiParameter("state", str, description="A state, or “open”"),
    OpenApiParameter("kind", str),
    OpenApiParameter("host", int),
    OpenApiParameter("vm", int),
    OpenApiParameter("since", datetime, description="Asked for at this time or later"),
    OpenApiParameter("search", str, description="Words in kind, target, person or error"),
    OpenApiParameter("ordering", str, enum=["requested_at", "-requested_at"]),
    OpenApiParameter("page", int),
    OpenApiParameter("page_size", int),
]
_ID = OpenApiParameter(
    "id", {"type": "string", "pattern": "^(host|vm|fence)-[0-9]{1,18}$"}, OpenApiParameter.PATH
)


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
    if query.get("since"):
        rows = rows.filter(requested_at__gte=_moment("since", query["since"]))
    names = {field.name for field in model._meta.get_fields()}
    for name in ("host", "vm"):
        given = query.get(name)
        if not given:
            continue
        number = _id(name, given)
        rows = rows.filter(**{name: number}) if name in names else rows.none()
    return rows


@contextmanager
def _refused() -> Iterator[None]:
    """Turn a refusal of the services into a problem with its cure."""
    try:
        yield
    except (NotAllowed, NotNow) as error:
        raise Problem(409, "not_allowed", str(error), cure=error.cure) from None


def _moment(name: str, given: str) -> datetime:
    try:
        found: datetime | None = Moment().field.clean(given)
    except ValidationError:
        found = None
    if found is None:
        cure = "Write a time such as 2026-01-01T00:00:00Z."
        raise Problem(400, "invalid", f"{name}: {given[:40]!r} is no time", cure=cure, field=name)
    return found


def _newest_first(query: Any) -> bool:
    given = query.get("ordering") or "-requested_at"
    return _word("ordering", given, ("requested_at", "-requested_at")).startswith("-")


def _found(rows: QuerySet[Any], words: list[str], target: str) -> QuerySet[Any]:
    for word in words:
        places = (f"{target}__name", "kind", "requested_by", "error_text")
        hits = (Q(**{f"{place}__icontains": word}) for place in places)
        rows = rows.filter(functools.reduce(operator.or_, hits))
    return rows


@extend_schema(tags=["operations"])
class OperationViewSet(Door, viewsets.ViewSet):
    """Operations: all work asked for, whoever asked, with its steps and how it ended."""

    role: ClassVar[Role] = Role.VIEWER
    pagination_class = Pages
    filter_backends = ()  # it filters by itself: its rows are of three tables
    lookup_value_regex = r"[a-z]+-[0-9]{1,18}"

    def _scopes(self, role: Role = Role.VIEWER) -> Scopes:
        return scopes_of(self.request.user, role, self.request.auth)

    def get_object(self) -> Operation:
        """Return the operation that an action is about; 403 where it may only be seen."""
        slug = self.kwargs["pk"]
        seen = find(slug, self._scopes())
        try:
            return find(slug, self._scopes(self.role))
        except Http404:
            raise PermissionDenied(f"{seen.kind}: your role there does not allow this") from None

    @extend_schema(
        responses=OperationSerializer(many=True),
        parameters=_FILTERS,
        operation_id="operations_list",
    )
    def list(self, request: Request) -> Response:
        """Return operations of all three tables, newest first."""
        refuse_unknown(request, [item.name for item in _FILTERS])
        scopes, query = self._scopes(), request.query_params
        words = Search().get_search_terms(request)
        lists = [
            _found(
                _filtered(visible(prefix, scopes), TABLES[prefix][0], query),
                words,
                "vm" if prefix == "vm" else "host",
            )
            for prefix in TABLES
        ]
        pages = Pages()
        merged = Merged(lists, newest_first=_newest_first(query))
        page = pages.paginate_queryset(merged, request, view=self)
        return pages.get_paginated_response([as_operation(row) for row in page or []])

    @extend_schema(responses=OperationSerializer, parameters=[_ID])
    def retrieve(self, request: Request, pk: str = "") -> Response:
        """Return one operation, by an id such as ``vm-12``."""
        return Response(as_operation(find(pk, self._scopes())))

    @extend_schema(parameters=[_ID])
    @verb("cancel", answers_itself=True, answer=OperationSerializer)
    def cancel(self, op: Operation, fields: dict[str, Any], request: Request) -> Response:
        """Withdraw work that has touched nothing yet.  Over at once: answers 200."""
        with _refused():
            requests.cancel(op, actor=str(caller(request)), now=clock.now())
        op.refresh_from_db()
        return Response(as_operation(op))

    @extend_schema(parameters=[_ID])
    @verb("retry")
    def retry(self, op: Operation, fields: dict[str, Any], request: Request) -> Response:
        """Ask again for what failed, was refused or cancelled: a new operation."""
        with _refused():
            again = requests.retry(op, actor=str(caller(request)), now=clock.now())
        return accepted(again, request)
