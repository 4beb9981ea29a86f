"""What people do about their own access, as events: who, from where, and never a secret.

The names that strangers type are not kept: one of them may be a password.
"""

from typing import Any

from allauth.account.signals import user_logged_in
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from allauth.socialaccount.signals import social_account_added, social_account_removed
from axes.signals import user_locked_out
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from portal.core.models import User
from portal.core.services import record_event
from portal.lib import clock

TOTP = Authenticator.Type.TOTP


def record(kind: str, user: User, text: str, request: HttpRequest, **evidence: Any) -> None:
    """Write down one thing that a person did, or that was tried in the person's name."""
    address = request.META.get("REMOTE_ADDR", "")
    record_event(
        f"account.{kind}",
        text.format(user=user.get_username(), address=address or "an unknown address"),
        now=clock.now(),
        actor=user.get_username(),
        evidence={"address": address, **evidence},
    )


@receiver(user_logged_in)
def signed_in(request: HttpRequest, user: User, **_: object) -> None:
    """Tell a sign-in, with what was shown for it."""
    steps = request.session.get("account_authentication_methods", [])
    shown = [str(step.get("type") or step["method"]) for step in steps]
    record("signed_in", user, "{user} signed in from {address}", request, shown=shown)


@receiver(user_logged_out)
def signed_out(request: HttpRequest, user: User | None, **_: object) -> None:
    """Tell a sign-out."""
    if user is not None:
        record("signed_out", user, "{user} signed out", request)


@receiver(user_locked_out)
def locked_out(request: HttpRequest, username: str, **_: object) -> None:
    """Tell that a door was shut, once: not each knock on it, and not for names nobody has."""
    if getattr(request, "axes_failures_since_start", 0) != settings.AXES_FAILURE_LIMIT:
        return
    user = User.objects.filter(username=username).first()
    if user is not None:
        text = "too many wrong passwords for {user} from {address}: no more tries for 15 minutes"
        record("locked_out", user, text, request)


@receiver(mfa.authentication_failed)
def wrong_code(request: HttpRequest, user: User, **_: object) -> None:
    """Tell a wrong code: whoever typed it knew the password."""
    text = "a wrong two-factor code for {user} from {address}, after the right password"
    record("wrong_code", user, text, request)


@receiver(mfa.authenticator_used)
def code_used(request: HttpRequest, user: User, authenticator: Authenticator, **_: object) -> None:
    """Tell that a recovery code was used up."""
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        record("recovery_code", user, "{user} used a recovery code from {address}", request)


@receiver(mfa.authenticator_removed)
def two_factor_off(
    request: HttpRequest, user: User, authenticator: Authenticator, **_: object
) -> None:
    """Tell that a second factor is gone."""
    if authenticator.type == TOTP:
        record("two_factor_off", user, "{user} switched two-factor sign-in off", request)


@receiver(social_account_added)
def connected(request: HttpRequest, sociallogin: Any, **_: object) -> None:
    """Tell that a person may come in through the provider from now on."""
    record("connected", sociallogin.user, "{user} connected single sign-on", request)


@receiver(social_account_removed)
def disconnected(request: HttpRequest, socialaccount: Any, **_: object) -> None:
    """Tell that a person may no longer come in through the provider."""
    record("disconnected", socialaccount.user, "{user} disconnected single sign-on", request)
