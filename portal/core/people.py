"""People and their roles: entered, changed, never deleted; somebody always administrates."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from axes.utils import reset
from django.db import transaction
from django.db.models import F, Q, QuerySet

from portal.core import edits
from portal.core.models import ApiToken, Role, RoleBinding, User
from portal.core.services import record_event
from portal.lib.live import announce_on_commit

#: Names that events use for those who are no people.
RESERVED = frozenset({"portal", "system"})
#: Live tokens of one person; who needs more has lost count of them.
MOST_TOKENS = 50


class LastAdministrator(Exception):
    """Nobody would be left who administrates everything; nothing was written."""


class TooMany(Exception):
    """The person has as many live tokens as anybody may have."""


def administrators() -> QuerySet[User]:
    """Return who may do everything now: superusers, and administrators of everything."""
    bound = RoleBinding.objects.filter(scope_type="all", role=Role.ADMIN).values("user")
    return User.objects.filter(Q(is_superuser=True) | Q(pk__in=bound), is_active=True)


def _somebody_is_left() -> None:
    """Raise unless somebody administrates everything.

    Asked after the event was recorded: the lock of the chain of events makes two
    administrators who demote each other take turns.
    """
    if not administrators().exists():
        raise LastAdministrator


@transaction.atomic
def add_user(username: str, *, actor: str, now: datetime) -> tuple[User, str]:
    """Enter a person without any role; return the one-time password as well."""
    password = secrets.token_urlsafe(12)
    user = User.objects.create_user(username, password=password, must_change_password=True)
    record_event("user.added", f"user {username} was added", now=now, actor=actor)
    announce_on_commit("user", user.pk, "added")
    return user, password


@transaction.atomic
def edit_user(user: User, changes: dict[str, Any], *, actor: str, now: datetime) -> None:
    """Change a person as read; raises ``Stale`` or :class:`LastAdministrator`."""
    was_active = user.is_active
    edits.edit(user, "user", changes)
    kind, words = "edited", f"{', '.join(sorted(changes)) or 'nothing'} changed"
    if was_active != user.is_active:
        kind = "activated" if user.is_active else "deactivated"
        words = f"was {kind}"
    text = f"user {user.username}: {words}"
    record_event(f"user.{kind}", text, now=now, actor=actor, evidence=changes)
    _somebody_is_left()


@transaction.atomic
def reset_password(user: User, *, actor: str, now: datetime) -> str:
    """Return a new one-time password; sessions and tokens of the old one are void."""
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    User.objects.filter(pk=user.pk).update(
        password=user.password, must_change_password=True, version=F("version") + 1
    )
    user.refresh_from_db()
    ApiToken.objects.filter(user=user).delete()
    reset(username=user.username)  # whoever forgot the password has tried too often as well
    text = f"user {user.username}: was given a new one-time password; its tokens are void"
    record_event("user.reset", text, now=now, actor=actor)
    announce_on_commit("user", user.pk, "edited")
    return password


@transaction.atomic
def bind(fields: dict[str, Any], where: str, *, actor: str, now: datetime) -> RoleBinding:
    """Give a person a role; ``where`` names its scope in words."""
    binding = RoleBinding.objects.create(**fields)
    _tell("role.given", f"{binding.user} is {binding.role} of {where}", binding, actor, now)
    return binding


@transaction.atomic
def unbind(binding: RoleBinding, where: str, *, actor: str, now: datetime) -> None:
    """Take a role away; raises :class:`LastAdministrator`."""
    text = f"{binding.user} is no longer {binding.role} of {where}"
    RoleBinding.objects.filter(pk=binding.pk).delete()
    _tell("role.taken", text, binding, actor, now)
    _somebody_is_left()


def _tell(kind: str, text: str, binding: RoleBinding, actor: str, now: datetime) -> None:
    where = {binding.scope_type: binding.scope_id}
    record_event(
        kind,
        text,
        now=now,
        actor=actor,
        cluster=where.get("cluster", 0),
        host=where.get("host", 0),
        vm=where.get("vm", 0),
    )
    announce_on_commit("user", binding.user_id, "roles")


@transaction.atomic
def mint(
    user: User, *, name: str, scope: str, lasts: timedelta, now: datetime
) -> tuple[ApiToken, str]:
    """Make a token; return its secret as well.  Raises :class:`TooMany`."""
    # Locked, so that two requests at once count each other's.
    User.objects.select_for_update().get(pk=user.pk)
    live = ApiToken.objects.filter(Q(expiry__isnull=True) | Q(expiry__gt=now), user=user)
    if live.count() >= MOST_TOKENS:
        raise TooMany
    token, secret = ApiToken.objects.create(user=user, expiry=lasts, name=name, scope=scope)
    text = f"a token “{name}” of scope {scope} was made by {user}"
    record_event("token.made", text, now=now, actor=str(user))
    return token, secret


@transaction.atomic
def revoke(token: ApiToken, *, actor: str, now: datetime) -> None:
    """Take a token away: it opens nothing from now on."""
    text = f"the token “{token.name}” of {token.user} was revoked"
    token.delete()
    record_event("token.revoked", text, now=now, actor=actor)
