"""The gate: whoever must change a password or set up a second factor does nothing else before."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin

from portal.accounts.sessions import must_first
from portal.core import problems
from portal.core.models import User

#: What a person may do while a page waits: the page itself, what it needs, and leaving.
OPEN = {
    "password": {"password", "sign-out"},
    "mfa_activate_totp": {
        "mfa_activate_totp",
        "account_reauthenticate",
        "password",
        "sign-out",
    },
}
WORDS = {
    "password": "the password must be changed first",
    "mfa_activate_totp": "two-factor sign-in must be set up first",
}


class Gate(MiddlewareMixin):
    """Leads a signed-in person to the page that waits; tokens are not concerned."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """Let the request pass, or answer with where to go first."""
        api = request.path.startswith("/api/")
        if not api and not getattr(view, "login_required", True):
            return None  # for everybody: signing in, health
        user = request.user
        waits = must_first(user) if isinstance(user, User) else ""
        match = request.resolver_match
        if not waits or (match is not None and match.url_name in OPEN[waits]):
            return None
        if api:
            cure = "Sign in with a browser and do what its page asks, or use a token."
            told = problems.body(403, f"{waits}_first", WORDS[waits], cure=cure)
            return JsonResponse(told, status=403, content_type=problems.MEDIA_TYPE)
        if request.headers.get("X-Part"):
            return HttpResponse(status=403)  # a part of a page cannot lead anywhere
        asked_for = request.get_full_path() if request.method == "GET" else "/"
        more = {"next": asked_for} if asked_for != "/" else None
        return redirect(reverse(waits, query=more))
