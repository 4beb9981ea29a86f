"""Sessions: who is signed in where, and how that ends."""

from collections.abc import Iterable

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils.crypto import constant_time_compare

from portal.core.models import User
from portal.lib import clock


def people_of(keys: Iterable[str]) -> dict[str, User]:
    """Return, by session key, who is signed in at this moment, in two queries for all.

    Left out: a session that was ended or is too old, one from before the password was
    changed, and that of somebody who is disabled.
    """
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=clock.now())
    store = SessionStore()
    kept = {row.session_key: store.decode(row.session_data) for row in rows}
    ids = {str(data[SESSION_KEY]) for data in kept.values() if SESSION_KEY in data}
    users = {str(user.pk): user for user in User.objects.filter(pk__in=ids, is_active=True)}
    found = {}
    for key, data in kept.items():
        user = users.get(str(data.get(SESSION_KEY)))
        if user is not None and _fits(user, data.get(HASH_SESSION_KEY, "")):
            found[key] = user
    return found


def _fits(user: User, sealed: str) -> bool:
    """Whether a session was made under the present password."""
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(sealed, known) for known in hashes)


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
    return "mfa_activate_totp" if held_back([user]) else ""


def held_back(users: Iterable[User]) -> set[int]:
    """Return the ids of those who must do something first, in one query at most."""
    people = list(users)
    held = {user.pk for user in people if user.must_change_password}
    if settings.HOLDFAST_REQUIRE_2FA:
        totp = Authenticator.objects.filter(user__in=people, type=Authenticator.Type.TOTP)
        held |= {user.pk for user in people} - set(totp.values_list("user", flat=True))
    return held
