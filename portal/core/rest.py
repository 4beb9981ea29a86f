"""What all resources of the REST API share: scopes, strict fields, ETags, actions."""

import functools
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from django.db import IntegrityError, models, transaction
from django.db.models import Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from portal.core.edits import Stale, edit
from portal.core.models import IdempotencyKey, Operation, Role, User
from portal.core.permissions import Scopes, scopes_of
from portal.core.problems import Problem
from portal.core.shapes import OperationSerializer, as_operation, slug_of
from portal.lib import clock

KEPT = timedelta(hours=24)
_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="Kept 24 h: repeats do nothing."
)
_MATCH = OpenApiParameter(
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


class Resource(viewsets.GenericViewSet[Any]):
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


def etag_of(row: Any) -> str:
    """Return the ETag of a row's editable fields."""
    return f'"{row.version}"'


class Editable(Resource):
    """Create, read, change and delete, with ETags on the editable fields."""

    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    live_kind: ClassVar[str] = ""

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one object and its ETag."""
        row = self.get_object()
        return Response(self.get_serializer(row).data, headers={"ETag": etag_of(row)})

    @extend_schema(parameters=[_MATCH])
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change fields of an object that nobody has changed since it was read."""
        row = self.get_object()
        self.match(request, row)
        form = self.get_serializer(row, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
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
        given = request.headers.get("If-Match", "")
        if not given:
            text = "the If-Match header is missing"
            cure = "Read the object first and send its ETag as If-Match."
            raise Problem(428, "precondition_required", text, cure=cure, field="If-Match")
        if given.strip() not in (etag_of(row), "*"):
            raise self._stale()

    @staticmethod
    def _stale() -> Problem:
        text = "it was changed since you read it; nothing was written"
        cure = "Read it again, and repeat your change on what you see."
        return Problem(412, "stale", text, cure=cure, field="If-Match")


def accepted(op: Operation, request: Request) -> Response:
    """Answer 202 with where the operation can be watched."""
    where = reverse("operation-detail", args=[slug_of(op)], request=request)
    return Response(as_operation(op), status=status.HTTP_202_ACCEPTED, headers={"Location": where})


def verb(
    name: str,
    *,
    takes: type[Strict] = Nothing,
    role: Role = Role.OPERATOR,
    answers_itself: bool = False,
) -> Callable[[Callable[..., Response]], Any]:
    """Make a method ``(self, target, fields, request)`` the action ``name`` of a resource."""

    def wrap(method: Callable[..., Response]) -> Any:
        # Work that is over at once is answered with the object itself.
        answer = empty if answers_itself else {202: OperationSerializer}

        @extend_schema(request=takes, responses=answer, parameters=[_KEY], filters=False)
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
            fields = takes(data=request.data)
            fields.is_valid(raise_exception=True)
            return once(request, lambda: method(self, target, fields.validated_data, request))

        return act

    return wrap


def once(request: Request, work: Callable[[], Response]) -> Response:
    """Do ``work``, or repeat its answer when the same Idempotency-Key did it before."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        with transaction.atomic():
            return work()
    if len(key) > 200:
        cure = "Send a random text of at most 200 characters, such as a UUID."
        raise Problem(422, "bad_key", "Idempotency-Key: too long", cure=cure)
    now = clock.now()
    whole = json.dumps([request.method, request.path, request.data], sort_keys=True, default=str)
    fingerprint = hashlib.sha256(whole.encode()).hexdigest()
    mine = IdempotencyKey.objects.filter(user=caller(request), key=key)
    with transaction.atomic():
        mine.filter(at__lt=now - KEPT).delete()
        try:
            with transaction.atomic():
                row = IdempotencyKey.objects.create(
                    user=caller(request), key=key, fingerprint=fingerprint, answer={}, at=now
                )
        except IntegrityError:
            return _repeated(mine.get(), fingerprint)
        answer = work()
        if answer.status_code >= status.HTTP_400_BAD_REQUEST:
            row.delete()  # what did not happen may be asked for again
            return answer
        row.answer = {"status": answer.status_code, "body": answer.data}
        row.location = answer.headers.get("Location", "")
        row.save()
        return answer


def _repeated(row: IdempotencyKey, fingerprint: str) -> Response:
    if row.fingerprint != fingerprint:
        text = "this Idempotency-Key was used for another request; nothing was done"
        cure = "Take a new key for a new request."
        raise Problem(422, "key_reused", text, cure=cure, field="Idempotency-Key")
    headers = {"Idempotency-Replayed": "true"}
    if row.location:
        headers["Location"] = row.location
    return Response(row.answer["body"], status=row.answer["status"], headers=headers)
