"""Sessions: who is signed in where, and how that ends."""

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.db.models import QuerySet
from django.http import HttpRequest

from portal.core.models import User


def person_of(key: str) -> User | None:
    """Return who is signed in with the session ``key`` at this moment.

    None: it was ended, is too old, the password was changed since, or the person is
    disabled.
    """
    request = HttpRequest()
    request.session = SessionStore(key)
    user = get_user(request)
    return user if isinstance(user, User) else None


def of(user: User) -> "QuerySet[UserSession]":
    """Return the sessions of a person, those that are over by themselves left out."""
    UserSession.objects.purge_and_list(user)
    found: QuerySet[UserSession] = UserSession.objects.filter(user=user).order_by("-created_at")
    return found


def end(user: User, *, keep: str = "") -> int:
    """End all sessions of a person, except the one with the key ``keep``; return how many."""
    going = list(UserSession.objects.filter(user=user).exclude(session_key=keep))
    for session in going:
        session.end()
    return len(going)


def must_first(user: User) -> str:
    """Return the name of the page on which a person must do something first; "" for none."""
    if user.must_change_password:
        return "password"
    if settings.HOLDFAST_REQUIRE_2FA:
        totp = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP)
        if not totp.exists():
            return "mfa_activate_totp"
    return ""
