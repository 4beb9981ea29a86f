"""Requests that Django refuses before any view sees them, told as the API tells errors."""

from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from portal.core import problems


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 400 or 413: a problem under ``/api/``, Django's own page elsewhere."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    given = exception if isinstance(exception, SuspiciousOperation) else SuspiciousOperation()
    found = problems.suspicious(given)
    return JsonResponse(found.told(), status=found.status_code, content_type=problems.MEDIA_TYPE)
