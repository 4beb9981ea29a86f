"""Wrong tokens and sessions, counted by address: guessing soon gets no answer but "wait".

Only what was wrong counts, and only what is wrong is refused: a right token from the same
address goes on working, or one forgotten script behind a proxy would shut everybody out.
"""

from typing import Any

from django.conf import settings
from rest_framework.exceptions import APIException, AuthenticationFailed, Throttled
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle


class WrongCredentials(SimpleRateThrottle):
    """So many wrong ones from one address in a minute."""

    rate = "30/min"

    def get_cache_key(self, request: Request, view: Any) -> str:
        """Return where the count of this address is kept."""
        return f"wrong-credentials:{request.META.get('REMOTE_ADDR', '')}"


def instead(error: APIException, request: Request, view: Any) -> APIException:
    """Return what to answer for ``error``: "wait" when too many credentials were wrong."""
    guessed = isinstance(error, AuthenticationFailed) or (
        error.status_code == 401 and settings.SESSION_COOKIE_NAME in request.COOKIES
    )
    throttle = WrongCredentials()
    if not guessed or throttle.allow_request(request, view):
        return error
    wait = max(1, round(throttle.wait() or 1))
    return Throttled(wait, f"too many wrong tokens or sessions: wait {wait} s")
