"""The forms of sign-in, where django-allauth's or Django's own allow too much."""

from typing import Any

from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.app_settings import TOTP_PERIOD, TOTP_TOLERANCE
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY
from django.contrib.auth.forms import PasswordChangeForm
from django.core.cache import cache

#: How long a code is good at most (seconds): its own step and those tolerated around it.
CODE_LIVES_S = TOTP_PERIOD * (2 * TOTP_TOLERANCE + 1)


class Once:
    """A code works once: allauth remembers it for one step, but tolerates its neighbours."""

    def clean_code(self) -> str:
        """Refuse a code that was used while it is still good."""
        code: str = super().clean_code()  # type: ignore[misc]  # the form beside it has it
        used = self.authenticator  # type: ignore[attr-defined]  # set by the form's own check
        key = f"used-code:{used.user_id}:{normalize_user_code(code)}"
        if used.type == Authenticator.Type.TOTP and not cache.add(key, 1, CODE_LIVES_S):
            raise get_adapter().validation_error("incorrect_code")
        return code


class CodeForm(Once, AuthenticateForm):  # type: ignore[misc]  # allauth ships no types
    """The second step of signing in."""


class CodeAgainForm(Once, ReauthenticateForm):  # type: ignore[misc]  # as above
    """A code before something that matters."""


class ActivateForm(ActivateTOTPForm):  # type: ignore[misc]  # as above
    """Setting the second factor up: the new secret waits encrypted in the session."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        session, adapter = context.request.session, get_adapter()
        kept = session.pop(SECRET_SESSION_KEY, "")
        if kept:
            session[SECRET_SESSION_KEY] = adapter.decrypt(kept)
        super().__init__(*args, **kwargs)
        session[SECRET_SESSION_KEY] = adapter.encrypt(self.secret)


class PasswordForm(PasswordChangeForm):
    """A new password, which is not the old one: a one-time password works once."""

    def clean(self) -> dict[str, Any]:
        """Compare the two."""
        cleaned: dict[str, Any] = super().clean() or {}
        new = cleaned.get("new_password1")
        if new and new == cleaned.get("old_password"):
            self.add_error("new_password2", "This is the old password: choose another one.")
        return cleaned
