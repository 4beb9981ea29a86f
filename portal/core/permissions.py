"""Who may do what: roles over everything, a cluster, a host or a VM.

Rights go downwards: a role over a cluster holds for its hosts and VMs.  The
same scopes filter lists, guard single objects and sieve the live channel.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from portal.core.models import ApiToken, Role, RoleBinding, User

if TYPE_CHECKING:  # DRF's views load this module while they load themselves
    from rest_framework.views import APIView

RANK = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMIN: 3}


@dataclass(frozen=True, slots=True)
class Scopes:
    """Over what somebody has at least a certain role, as ids."""

    everything: bool = False
    clusters: frozenset[int] = frozenset()
    hosts: frozenset[int] = frozenset()
    vms: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.everything or self.clusters or self.hosts or self.vms)


def scopes_of(user: Any, role: Role, token: object = None) -> Scopes:
    """Return where ``user`` has at least ``role``; a token can only narrow it."""
    if user is None or not user.is_authenticated or not user.is_active:
        return Scopes()
    if isinstance(token, ApiToken) and RANK.get(Role(token.scope), 0) < RANK[role]:
        return Scopes()
    if user.is_superuser:
        return Scopes(everything=True)
    return _scopes(_bindings(role).filter(user=user).values_list("scope_type", "scope_id"))


def scopes_of_many(user_ids: Iterable[int], role: Role) -> dict[int, Scopes]:
    """Return for each active user where they have at least ``role``, in two queries for all."""
    users = User.objects.filter(pk__in=user_ids, is_active=True)
    bound: dict[int, list[tuple[str, int]]] = {}
    rows = _bindings(role).filter(user__in=user_ids)
    for pk, kind, scope in rows.values_list("user", "scope_type", "scope_id"):
        bound.setdefault(pk, []).append((kind, scope))
    return {
        pk: Scopes(everything=True) if almighty else _scopes(bound.get(pk, ()))
        for pk, almighty in users.values_list("pk", "is_superuser")
    }


def _bindings(role: Role) -> QuerySet[RoleBinding]:
    enough = [name for name, rank in RANK.items() if rank >= RANK[role]]
    return RoleBinding.objects.filter(role__in=enough)


def _scopes(bindings: Iterable[tuple[str, int]]) -> Scopes:
    bound: dict[str, set[int]] = {}
    for kind, pk in bindings:
        bound.setdefault(kind, set()).add(pk)
    return Scopes(
        everything="all" in bound,
        clusters=frozenset(bound.get("cluster", ())),
        hosts=frozenset(bound.get("host", ())),
        vms=frozenset(bound.get("vm", ())),
    )


def role_needed(view: "APIView", request: Request) -> Role:
    """Return the role that this call asks for: reading, acting or editing."""
    named = getattr(view, "role", None)
    if named is not None:
        return Role(named)
    return Role.VIEWER if request.method in SAFE_METHODS else Role.ADMIN


class ByRole(BasePermission):
    """Whoever has the role somewhere may call; on what, the object's scope decides.

    ``everywhere`` on a view: only the role over everything opens it.
    """

    message = "Your role does not allow this. Ask an administrator for a higher one."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether the caller has the needed role over anything at all."""
        if request.user is None:
            return False
        scopes = scopes_of(request.user, role_needed(view, request), request.auth)
        return scopes.everything if getattr(view, "everywhere", False) else bool(scopes)

    def has_object_permission(self, request: Request, view: "APIView", obj: Any) -> bool:
        """Whether the caller's scopes for this call cover ``obj``."""
        scopes = scopes_of(request.user, role_needed(view, request), request.auth)
        within = getattr(view, "within", None)
        if scopes.everything or within is None:
            return bool(scopes)
        found: Q = within(scopes)
        return bool(type(obj)._default_manager.filter(found, pk=obj.pk).exists())
