"""Calls of a browser that is signed in: it must show that a page of this portal sent them."""

from django.conf import settings
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request


class Forged(PermissionDenied):
    """A call with a session and without its token; the answer to it is in ``cure``."""

    default_code = "csrf"
    cure = (
        f"Send the value of the cookie {settings.CSRF_COOKIE_NAME} as X-CSRFToken, from an "
        "address of this portal; or send a token (Authorization: Bearer) instead."
    )


class BrowserSession(SessionAuthentication):
    """Django's session; a call without its CSRF token is told about the header, not about roles."""

    def enforce_csrf(self, request: Request) -> None:
        """Raise :class:`Forged` unless the call comes from one of the portal's pages."""
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise Forged(str(error.detail)) from None
