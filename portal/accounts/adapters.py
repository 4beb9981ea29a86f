"""What django-allauth does differently here: no sign-up, no flash words, secrets encrypted."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import render

from portal.core.models import User
from portal.lib import secrets


class Accounts(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Local accounts: an administrator makes them."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "too_many_login_attempts": "Too many wrong codes: wait five minutes, then try again.",
        "incorrect_password": "The password is wrong.",
        "incorrect_code": "The code is wrong, too old, or used already: take the next one.",
        "rate_limited": "Too many wrong codes: wait five minutes, then try again.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody makes an account for himself."""
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Leave wrong passwords to axes: allauth's count by name alone would let any
        stranger shut an administrator's door from afar."""

    def add_message(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Say nothing: the pages show the new state themselves."""


class TwoFactor(DefaultMFAAdapter):  # type: ignore[misc]  # as above
    """Second factors: their secrets are kept as those of BMCs are."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": Accounts.error_messages["incorrect_code"],
        "cannot_delete_authenticator": "An administrator requires two-factor sign-in "
        "(HOLDFAST_REQUIRE_2FA), so it cannot be switched off.",
    }

    def get_totp_label(self, user: User) -> str:
        """Return the name that the person's app shows."""
        return user.get_username()

    def get_totp_issuer(self) -> str:
        """Return where the code belongs to."""
        return f"Holdfast {context.request.get_host()}"

    def encrypt(self, text: str) -> str:
        """Return ``text`` as it may lie in the database."""
        return secrets.encrypt(text, settings.KEY_FILE)

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret; without its key nobody can prove anything, and a page says so."""
        try:
            return secrets.decrypt(encrypted_text, settings.KEY_FILE)
        except (secrets.SecretLost, OSError):
            text = (
                "The key file does not open the second factor: restore it from your backup, "
                "or run manage.py reset-access USER on the portal's machine."
            )
            told = {"status": 503, "text": text}
            answer = render(context.request, "error.html", told, status=503)
            raise ImmediateHttpResponse(answer) from None

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Whether the second factor may go."""
        return not settings.HOLDFAST_REQUIRE_2FA
