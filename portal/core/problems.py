"""Errors as RFC 9457 problem details: what is wrong, in which field, and the cure."""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"

_CURES = {
    400: "Correct the named field and send it again.",
    401: "Send an API token as “Authorization: Bearer TOKEN”, or sign in.",
    403: "Ask an administrator for a role that covers this, or use a token with one.",
    404: "Check the address and the id; what your role does not cover looks absent too.",
    405: "Use one of the methods in the Allow header.",
    415: "Send JSON, with Content-Type: application/json.",
    429: "Wait, then try again.",
}


class Problem(exceptions.APIException):
    """An error with everything that a caller needs to put it right."""

    def __init__(self, status: int, code: str, text: str, *, cure: str, field: str = "") -> None:
        super().__init__(text, code)
        self.status_code = status
        self.code = code
        self.text = text
        self.cure = cure
        self.field = field


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
    if isinstance(error, Http404):
        error = exceptions.NotFound("there is no such object, or your role does not cover it")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, IntegrityError):
        log.info("a write met a constraint: %s", error)
        text = "somebody else has just taken this name or address, or changed the same row"
        error = Problem(409, "conflict", text, cure="Read it again and repeat your change.")
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    answer = Response(
        _of(error), status=error.status_code, content_type=MEDIA_TYPE, headers=_headers(error)
    )
    answer.exception = True
    return answer


def _of(error: exceptions.APIException) -> dict[str, Any]:
    if isinstance(error, Problem):
        return body(error.status_code, error.code, error.text, cure=error.cure, field=error.field)
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flat(error.detail))
        first = errors[0]
        text = "; ".join(f"{item['field']}: {item['text']}" for item in errors)
        return body(400, "invalid", text, field=first["field"], errors=errors)
    code = error.get_codes()
    return body(error.status_code, code if isinstance(code, str) else "error", str(error.detail))


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
        yield {"field": path or "body", "text": str(detail)}


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]  # DRF sets it on the instance
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(int(error.wait))  # type: ignore[attr-defined]  # only Throttled has it
    return headers
