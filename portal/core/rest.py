"""What all resources of the REST API share: scopes, strict fields, ETags, actions."""

import functools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from portal.core.edits import Stale, edit
from portal.core.filtering import Ordering, Search, refuse_unknown
from portal.core.idempotency import once
from portal.core.models import ApiToken, Operation, Role, User
from portal.core.parsing import Json
from portal.core.permissions import Scopes, scopes_of
from portal.core.problems import Problem
from portal.core.shapes import OperationSerializer, as_operation, slug_of
from portal.lib import clock

#: How exactly the last use of a token is known: a write for each call would be dear.
USE_NOTED = timedelta(minutes=1)
KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="Kept 24 h: repeats do nothing."
)
MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag as last read."
)


class Strict(serializers.Serializer[Any]):
    """Refuses what it would otherwise ignore: unknown fields and those of the portal itself."""

    def to_internal_value(self, data: Any) -> Any:
        """Check the names of the fields before their values."""
        if isinstance(data, dict):
            writable = {name for name, field in self.fields.items() if not field.read_only}
            wrong = {}
            for name in data.keys() - writable:
                known = ", ".join(sorted(writable)) or "none"
                fault = "is read-only" if name in self.fields else "is no field here"
                wrong[str(name)] = [f"{fault}: leave it out; writable are {known}"]
            if wrong:
                raise serializers.ValidationError(wrong)
        return super().to_internal_value(data)


class Nothing(Strict):
    """The empty body of an action that takes no fields."""


def caller(request: Request) -> User:
    """Return the signed-in user."""
    user = request.user
    if not isinstance(user, User):
        raise Problem(401, "not_authenticated", "who are you?", cure="Sign in.")
    return user


def require(request: Request, role: Role, **subject: int) -> None:
    """Raise 403 unless the caller has ``role`` over one of ``cluster``, ``host``, ``vm``."""
    scopes = scopes_of(request.user, role, request.auth)
    has = {"cluster": scopes.clusters, "host": scopes.hosts, "vm": scopes.vms}
    if scopes.everything or any(pk in has[kind] for kind, pk in subject.items()):
        return
    text = f"this needs the role {role} over it"
    raise Problem(403, "permission_denied", text, cure="Ask an administrator for that role.")


class Door(APIView):
    """What every resource does before anything else: whose call it is, and can it be read."""

    parser_classes: Any = (Json,)
    filter_backends: ClassVar[Any] = [DjangoFilterBackend, Ordering, Search]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a body of unknown length, which would be taken for none."""
        super().initial(request, *args, **kwargs)
        if "Transfer-Encoding" in request.headers and "Content-Length" not in request.headers:
            cure = "Send the body whole, with a Content-Length."
            raise Problem(411, "length_required", "the body has no length", cure=cure)

    def perform_authentication(self, request: Request) -> None:
        """Find out who calls, and note it at the token that says so."""
        try:
            super().perform_authentication(request)
        except UnicodeDecodeError:
            raise exceptions.AuthenticationFailed("the token is no text") from None
        token = request.auth
        if isinstance(token, ApiToken):
            now = clock.now()
            if token.last_used is None or token.last_used < now - USE_NOTED:
                ApiToken.objects.filter(pk=token.pk).update(last_used=now)


class Resource(Door, viewsets.GenericViewSet[Any]):
    """A resource whose rows are shown to those whose scopes cover them."""

    role: ClassVar[Role | None] = None
    #: Returns which rows certain scopes cover; None: not by row.
    rows: ClassVar[Callable[[Scopes], Q] | None] = None

    def within(self, scopes: Scopes) -> Q:
        """Return the filter for the rows that ``scopes`` cover."""
        rows = type(self).rows
        return Q() if scopes.everything or rows is None else rows(scopes)

    def get_queryset(self) -> models.QuerySet[Any]:
        """Return what the caller may see at all."""
        found = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return found
        return found.filter(self.within(scopes_of(self.request.user, Role.VIEWER)))

    def filter_queryset(self, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """Narrow a list by its parameters, all of which must mean something."""
        if not self.detail:
            named = getattr(self, "filterset_class", None)
            own = set(named.base_filters) if named else set()
            refuse_unknown(self.request, own | self.more_parameters() | {"ordering", "search"})
        return super().filter_queryset(queryset)

    def more_parameters(self) -> frozenset[str]:
        """Return the names, besides filters, that a list takes."""
        return getattr(self.pagination_class, "parameters", frozenset())

    def examine(self, row: Any, changes: dict[str, Any]) -> None:
        """Try what is to be entered (``row`` None) or changed; raise a :class:`Problem`.

        No transaction is open yet: this is where hardware may be asked.
        """


def etag_of(row: Any) -> str:
    """Return the ETag of a row's editable fields."""
    return f'"{row.version}"'


def matches(request: Request, etag: str) -> bool:
    """Whether If-Match names this version; a :class:`Problem` 428 where it is missing."""
    given = request.headers.get("If-Match", "")
    if not given:
        text = "the If-Match header is missing"
        cure = "Read the object first and send its ETag as If-Match."
        raise Problem(428, "precondition_required", text, cure=cure, field="If-Match")
    return given.strip() in (etag, "*")


def stale(current: Any, etag: str) -> Problem:
    """Return the 412 of somebody who changes what has been changed meanwhile.

    ``current`` is the object as it is now, ``etag`` what to send to write over it.
    """
    text = "it was changed since you read it; nothing was written"
    cure = "Compare yours with “current”, and repeat your change with “etag” as If-Match."
    return Problem(412, "stale", text, cure=cure, field="If-Match", current=current, etag=etag)


class Creatable(mixins.CreateModelMixin, Resource):
    """POST to a list enters a new row, once for each Idempotency-Key."""

    #: Whether the answer shows a secret, once: it is then not kept under the key.
    shows_secret: ClassVar[bool] = False

    @extend_schema(parameters=[KEY])
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Enter a new object."""

        def examine() -> None:
            form = self.get_serializer(data=request.data)
            form.is_valid(raise_exception=True)
            self.examine(None, form.validated_data)

        return once(
            request,
            caller(request),
            lambda: super(Creatable, self).create(request, *args, **kwargs),
            before=examine,
            secret=self.shows_secret,
        )


class Editable(Resource):
    """Create, read, change and delete, with ETags on the editable fields."""

    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    live_kind: ClassVar[str] = ""

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one object and its ETag."""
        row = self.get_object()
        return Response(self.get_serializer(row).data, headers={"ETag": etag_of(row)})

    @extend_schema(parameters=[MATCH])
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change fields of an object that nobody has changed since it was read."""
        row = self.get_object()
        self.match(request, row)
        form = self.get_serializer(row, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        self.examine(row, form.validated_data)
        try:
            self.write(row, form.validated_data)
        except Stale as error:
            raise self._stale() from error
        row = self.get_object()
        return Response(self.get_serializer(row).data, headers={"ETag": etag_of(row)})

    def write(self, row: Any, changes: dict[str, Any]) -> None:
        """Write checked changes; a resource with more to do says so itself."""
        edit(row, self.live_kind, changes)

    def match(self, request: Request, row: Any) -> None:
        """Raise 428 or 412 unless If-Match names the row's present version."""
        if not matches(request, etag_of(row)):
            raise self._stale()

    def _stale(self) -> Problem:
        """Return the problem with the object as it is now, so that both can be compared."""
        row = self.get_object()
        return stale(self.get_serializer(row).data, etag_of(row))


class Removable(Resource):
    """DELETE takes a row out of everything but history."""

    @extend_schema(responses={202: OperationSerializer, 204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remove it: 202 with the operation that cleans up after it, 204 if there is nothing to."""
        op = self.remove(self.get_object(), actor=str(caller(request)), now=clock.now())
        return accepted(op, request) if op else Response(status=status.HTTP_204_NO_CONTENT)

    def remove(self, row: Any, *, actor: str, now: datetime) -> Operation | None:
        """Remove it; every resource knows best what must be over before."""
        raise NotImplementedError


def accepted(op: Operation, request: Request) -> Response:
    """Answer 202 with where the operation can be watched."""
    where = reverse("operation-detail", args=[slug_of(op)], request=request)
    return Response(as_operation(op), status=status.HTTP_202_ACCEPTED, headers={"Location": where})


def _nothing() -> None:
    """Most actions ask no hardware by themselves."""


def verb(
    name: str,
    *,
    takes: type[Strict] = Nothing,
    role: Role = Role.OPERATOR,
    answers_itself: bool = False,
    answer: Any = None,
    secret: bool = False,
    before: str = "",
) -> Callable[[Callable[..., Response]], Any]:
    """Make a method ``(self, target, fields, request)`` the action ``name`` of a resource.

    ``answers_itself``: over at once: 200 with the object.  ``answer``: a form of its own.
    ``secret``: not kept for repeats.  ``before`` names a method that may ask hardware first.
    """

    def wrap(method: Callable[..., Response]) -> Any:
        shape = (answer or empty) if answers_itself else {202: answer or OperationSerializer}

        @extend_schema(request=takes, responses=shape, parameters=[KEY], filters=False)
        @action(
            detail=True,
            methods=["post"],
            url_path=f"actions/{name}",
            url_name=f"actions-{name}",
            role=role,
        )
        @functools.wraps(method)
        def act(self: Any, request: Request, pk: str = "") -> Response:
            target = self.get_object()
            fields = takes(data=request.data, context={"request": request})
            fields.is_valid(raise_exception=True)
            mine = (target, fields.validated_data, request)
            first = functools.partial(getattr(self, before), *mine) if before else _nothing
            work = functools.partial(method, self, *mine)
            return once(request, caller(request), work, before=first, secret=secret)

        return act

    return wrap
