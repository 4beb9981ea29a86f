"""A person's own account: signing in and out, password, second factor, sessions.

django-allauth does the steps; here are the pages and their addresses.  What it has beyond
them (sign-up, e-mail, passkeys) has no address, so it is not there.
"""

from typing import Any, cast

from allauth.account import views as accounts
from allauth.decorators import rate_limit
from allauth.mfa.base import views as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.socialaccount import views as social
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView, PasswordChangeView
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST
from django.views.generic import RedirectView

from portal.accounts import oidc, sessions
from portal.accounts.events import record
from portal.accounts.forms import PasswordForm
from portal.core.models import Role, RoleBinding, User
from portal.core.permissions import scopes_of


class SignIn(accounts.LoginView):  # type: ignore[misc]  # allauth ships no types
    """The way in."""

    template_name = "sign_in.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the other way in, if there is one."""
        found: dict[str, Any] = super().get_context_data(**kwargs)
        return found | {"oidc": settings.HOLDFAST_OIDC.get("name", "")}


@method_decorator(login_not_required, name="dispatch")
class SignOut(LogoutView):
    """The way out, also for whoever has shown a password and not yet a code."""

    http_method_names = ["get", "post", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Ask: no link of a stranger's shall sign anybody out."""
        if not request.user.is_authenticated:
            return redirect("sign-in")
        return render(request, "sign_out.html")


class SetUp(totp.ActivateTOTPView):  # type: ignore[misc]  # as above
    """The page that sets the second factor up."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say whether there is a way round it."""
        found: dict[str, Any] = super().get_context_data(**kwargs)
        return found | {"required": settings.HOLDFAST_REQUIRE_2FA}

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        """Switch it on and tell it."""
        answer: HttpResponse = super().form_valid(form)
        text = "{user} set up two-factor sign-in"
        record("two_factor_on", _person(self.request), text, self.request)
        return answer


class NewCodes(codes.GenerateRecoveryCodesView):  # type: ignore[misc]  # as above
    """The page that replaces the recovery codes."""

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        """Replace them and tell it."""
        answer: HttpResponse = super().form_valid(form)
        text = "{user} made new recovery codes"
        record("recovery_codes", _person(self.request), text, self.request)
        return answer


def account(request: HttpRequest) -> HttpResponse:
    """Return the page about oneself; whoever has no role yet may see it too."""
    user = _person(request)
    factors = Authenticator.objects.filter(user=user)
    context: dict[str, Any] = {
        "scopes": scopes_of(user, Role.VIEWER),
        "roles": RoleBinding.objects.filter(user=user).order_by("scope_type", "scope_id"),
        "totp": factors.filter(type=Authenticator.Type.TOTP).first(),
        "required": settings.HOLDFAST_REQUIRE_2FA,
        "has_password": user.has_usable_password(),
        "sessions": sessions.of(user),
        "this_session": request.session.session_key,
        "oidc": settings.HOLDFAST_OIDC.get("name", ""),
        "connected": SocialAccount.objects.filter(user=user).exists(),
    }
    return render(request, "account.html", context)


@require_POST
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End one session of one's own (``session``), all ``others``, or ``all``."""
    user, wish = _person(request), request.POST.get("session", "")
    own = str(request.session.session_key)
    if wish in ("others", "all"):
        count = sessions.end(user, keep=own if wish == "others" else "")
        text = f"{{user}} ended {count} of their sessions"
    else:
        mine = UserSession.objects.filter(user=user)
        found = get_object_or_404(mine, pk=int(wish) if wish.isdecimal() else 0)
        found.end()
        text = f"{{user}} ended the session of {found.ip}"
    record("session_revoked", user, text, request)
    messages.success(request, "The session is over." if wish.isdecimal() else "They are over.")
    return redirect("account")


@method_decorator(rate_limit(action="change_password"), name="dispatch")
class NewPassword(PasswordChangeView):
    """Lets a person change the password, which ends the sessions elsewhere."""

    template_name = "password.html"
    form_class = PasswordForm
    success_url = reverse_lazy("account")

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Send away whoever has none, because the provider keeps it."""
        if request.user.is_authenticated and not request.user.has_usable_password():
            return redirect("account")
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        """Take the duty away, end what is open elsewhere, and tell it."""
        user = _person(self.request)
        if user.must_change_password:
            self.success_url = cast("Any", self._asked_for() or reverse_lazy("overview"))
        else:
            messages.success(self.request, "The password is changed; other sessions are over.")
        user.must_change_password = False  # the form saves the same object
        with transaction.atomic():
            answer = super().form_valid(form)
            sessions.end(user)
            UserSession.objects.create_from_request(self.request)
            record("password", user, "{user} changed the password", self.request)
        return answer

    def _asked_for(self) -> str:
        """Return the page of this portal that the gate has led away from; "" for none."""
        there = self.request.GET.get("next", "")
        hosts, https = {self.request.get_host()}, self.request.is_secure()
        return there if url_has_allowed_host_and_scheme(there, hosts, require_https=https) else ""


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def _with_oidc(view: Any) -> Any:
    """Make a page of the provider's absent where there is no provider."""

    def only(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.HOLDFAST_OIDC:
            raise Http404
        answer: HttpResponseBase = view(request, *args, **kwargs)
        return answer

    only.login_required = getattr(view, "login_required", True)  # type: ignore[attr-defined]  # Django's mark on a view
    return only


_provider = {"provider_id": "oidc"}
urlpatterns = [
    path("sign-in/", SignIn.as_view(), name="account_login"),
    path("sign-in/", SignIn.as_view(), name="sign-in"),
    path("sign-in/code/", mfa.authenticate, name="mfa_authenticate"),
    path("sign-in/disabled/", accounts.account_inactive, name="account_inactive"),
    path("sign-in/oidc/", oidc.login, _provider, name="openid_connect_login"),
    path("sign-in/oidc/callback/", oidc.callback, _provider, name="openid_connect_callback"),
    path(
        "sign-in/oidc/cancelled/",
        _with_oidc(social.login_cancelled),
        name="socialaccount_login_cancelled",
    ),
    path("sign-out/", SignOut.as_view(), name="sign-out"),
    path("password/", NewPassword.as_view(), name="password"),
    path("account/", account, name="account"),
    path("account/sessions/end/", end_sessions, name="end-sessions"),
    path("account/confirm/", accounts.reauthenticate, name="account_reauthenticate"),
    path("account/confirm/code/", mfa.reauthenticate, name="mfa_reauthenticate"),
    path("account/two-factor/", RedirectView.as_view(pattern_name="account"), name="mfa_index"),
    path("account/two-factor/on/", SetUp.as_view(), name="mfa_activate_totp"),
    path("account/two-factor/off/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("account/two-factor/codes/", codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path("account/two-factor/codes/new/", NewCodes.as_view(), name="mfa_generate_recovery_codes"),
    path(
        "account/single-sign-on/",
        _with_oidc(social.connections),
        name="socialaccount_connections",
    ),
]
