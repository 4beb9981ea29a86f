"""Errors as RFC 9457 problem details: what is wrong, in which field, and the cure."""

import itertools
import logging
import re
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    DisallowedHost,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import IntegrityError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from portal.core import guessing

#: Fields that make a row unmistakable; constraints are named after them.
_TELLING = ("uri", "address", "uuid", "name")
log = logging.getLogger(__name__)
#: Nonsense is not told back at length: so many errors, so many characters of each.
MOST_ERRORS, MOST_CHARS = 20, 200
MEDIA_TYPE = "application/problem+json"

_CURES = {
    400: "Correct the named field and send it again.",
    401: "Send an API token as “Authorization: Bearer TOKEN”, or sign in.",
    403: "Ask an administrator for a role that covers this, or use a token with one.",
    404: "Check the address and the id; what your role does not cover looks absent too.",
    405: "Use one of the methods in the Allow header.",
    406: "Accept application/json.",
    415: "Send JSON, with Content-Type: application/json.",
    429: "Wait, then try again.",
}


class Problem(exceptions.APIException):
    """An error with everything that a caller needs to put it right."""

    def __init__(
        self, status: int, code: str, text: str, *, cure: str, field: str = "", **more: Any
    ) -> None:
        super().__init__(text, code)
        self.status_code = status
        self.code = code
        self.text = text
        self.cure = cure
        self.field = field
        self.more = more
        self.wait: int | None = None  # seconds, told as Retry-After

    def told(self) -> dict[str, Any]:
        """Return its JSON."""
        return body(
            self.status_code, self.code, self.text, cure=self.cure, field=self.field, **self.more
        )


def body(
    status: int, code: str, text: str, *, cure: str = "", field: str = "", **more: Any
) -> dict[str, Any]:
    """Return the JSON of one problem."""
    found = {
        "type": f"urn:holdfast:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": text,
        "code": code,
        "cure": cure or _CURES.get(status, ""),
    }
    if field:
        found["field"] = field
    return found | more


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an exception of a view; None (a real fault) is left to Django's 500."""
    if isinstance(error, Http404 | ObjectDoesNotExist):
        # Also one that was removed between two questions about it.
        error = exceptions.NotFound("there is no such object, or your role does not cover it")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, SuspiciousOperation):
        error = suspicious(error)
    elif isinstance(error, IntegrityError):
        error = _conflict(error)
    elif isinstance(error, OperationalError) and _gave_way(error):
        error = _busy(error)
    if not isinstance(error, exceptions.APIException):
        return None
    error = guessing.instead(error, context["request"], context["view"])
    set_rollback()
    answer = Response(
        _of(error), status=error.status_code, content_type=MEDIA_TYPE, headers=_headers(error)
    )
    answer.exception = True
    return answer


def suspicious(error: SuspiciousOperation) -> Problem:
    """Return what to tell of a request that Django itself finds too big or not in order."""
    if isinstance(error, RequestDataTooBig):
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        cure = f"Send at most {limit} bytes (DATA_UPLOAD_MAX_MEMORY_SIZE)."
        return Problem(413, "too_large", "the body is too long", cure=cure, field="body")
    if isinstance(error, DisallowedHost):
        cure = "Use an address of this portal, or name this one in HOLDFAST_ALLOWED_HOSTS."
        return Problem(400, "bad_request", "Host: not an address of this portal", cure=cure)
    cure = "Send fewer parameters, and plain ones."
    return Problem(400, "bad_request", "the request is not in order", cure=cure)


def _conflict(error: IntegrityError) -> Problem:
    log.info("a write met a constraint: %s", error)
    field = _taken(str(error))
    if not field:
        text = "somebody else has just changed the same row"
        return Problem(409, "conflict", text, cure="Read it again and repeat your change.")
    text = f"{field}: another one has this already"
    return Problem(409, "conflict", text, cure=f"Choose another {field}.", field=field)


#: What PostgreSQL calls a deadlock, a serialisation failure and a lock that did not come.
_GIVEN_UP = ("40P01", "40001", "55P03")
_SOON_S = 1


def _gave_way(error: OperationalError) -> bool:
    """Whether the database undid a transaction only because others were at the same rows."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state in _GIVEN_UP or "database is locked" in str(error)


def _busy(error: OperationalError) -> Problem:
    log.warning("a write gave way to another: %s", str(error).partition("\n")[0])
    text = "somebody else was writing at the same moment; nothing was changed"
    told = Problem(503, "busy", text, cure="Send the same request again.")
    told.wait = _SOON_S
    return told


def _taken(text: str) -> str:
    """Return the field that a unique constraint is about, as far as the database tells it.

    SQLite: ``UNIQUE constraint failed: hosts_host.uri``, or ``index 'one_name'``;
    PostgreSQL: ``Key (lower(name::text))=(node1) already exists``.
    """
    found = re.search(r"UNIQUE constraint failed: (.+)|Key \((.+?)\)=\(.*\) already", text)
    if found is None:
        return ""
    words = re.findall(r"\w+", found[1] or found[2])
    told = [name for name in _TELLING if any(name in word.split("_") for word in words)]
    return told[0] if told else ""


def _of(error: exceptions.APIException) -> dict[str, Any]:
    if isinstance(error, Problem):
        return error.told()
    if isinstance(error, exceptions.ValidationError):
        errors = list(itertools.islice(_flat(error.detail), MOST_ERRORS))
        first = errors[0]
        text = "; ".join(f"{item['field']}: {item['text']}" for item in errors)
        return body(400, "invalid", text, field=first["field"], errors=errors)
    code = error.get_codes()
    code, cure = code if isinstance(code, str) else "error", getattr(error, "cure", "")
    field = "Authorization" if isinstance(error, exceptions.AuthenticationFailed) else ""
    return body(error.status_code, code, str(error.detail), cure=cure, field=field)


def _flat(detail: Any, path: str = "") -> Any:
    """Yield every message of a validation error with the path of its field."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            here = path if name == "non_field_errors" else f"{path}.{name}".strip(".")
            yield from _flat(inner, here)
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(inner, path)
    else:
        text = str(detail)
        if len(text) > MOST_CHARS:
            text = f"{text[: MOST_CHARS - 60]} … {text[-50:]}"
        yield {"field": path[:100] or "body", "text": text}


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if isinstance(error, Problem) and "etag" in error.more:
        headers["ETag"] = error.more["etag"]
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]  # DRF sets it on the instance
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(int(error.wait))  # type: ignore[attr-defined]  # Throttled and Problem have it
    return headers
