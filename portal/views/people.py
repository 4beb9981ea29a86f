"""People and what lets them in: users with their roles, and API tokens."""

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from hosts.models import Cluster, Host
from portal.core.filtering import Filters
from portal.core.models import ApiToken, Event, Role, User
from portal.core.permissions import Scopes, scopes_of
from portal.lib import clock
from portal.views.access import may_see
from portal.views.listing import Column, Facet, Listing, yes_or_no
from vms.models import Vm

HISTORY = 15
SCOPES: dict[str, Any] = {"cluster": Cluster, "host": Host, "vm": Vm}


def only_administrators(request: HttpRequest) -> None:
    """Let nobody in whose administration is not over everything."""
    if not scopes_of(request.user, Role.ADMIN).everything:
        raise PermissionDenied


class UserFilter(Filters):
    """``?is_active=false``."""

    class Meta:
        model = User
        fields: ClassVar = {"is_active": ["exact"], "must_change_password": ["exact"]}


class UserList(Listing):
    """Everybody who may sign in."""

    title, icon = "Users and roles", "users"
    row_template = "rows/users.html"
    live_types = "user"
    filters = UserFilter
    columns = (
        Column("name", "User", "username"),
        Column("roles", "Roles"),
        Column("active", "Door", "is_active"),
        Column("last", "Last signed in", "last_login"),
    )
    facets = (Facet("is_active", "Door", yes_or_no("open", "shut")),)
    search_in = ("username",)
    usual_order = "username"
    nothing = "Nobody yet."
    actions_template = "actions/users.html"

    def rows(self, scopes: Scopes) -> QuerySet[User]:
        """Return everybody, for administrators."""
        only_administrators(self.request)
        return User.objects.prefetch_related("roles")

    def dress(self, rows: list[Any]) -> None:
        """Add the roles in words."""
        _name_scopes([role for row in rows for role in row.roles.all()])


def _name_scopes(bindings: list[Any]) -> None:
    """Give each binding the name of what it is over."""
    for kind, model in SCOPES.items():
        ids = {row.scope_id for row in bindings if row.scope_type == kind}
        names = dict(model.objects.filter(pk__in=ids).values_list("pk", "name"))
        for row in bindings:
            if row.scope_type == kind:
                row.over = f"{kind} {names.get(row.scope_id, f'{row.scope_id} (gone)')}"
            elif row.scope_type == "all":
                row.over = "everything"


def user(request: HttpRequest, pk: int) -> HttpResponse:
    """Return a user's page: roles, tokens, and whether the door is open."""
    only_administrators(request)
    person = get_object_or_404(User.objects.prefetch_related("roles"), pk=pk)
    roles = list(person.roles.order_by("pk"))
    _name_scopes(roles)
    context = {
        "person": person,
        "roles": roles,
        "choices": Role.choices,
        "scopes": {
            kind: list(model.objects.order_by("name").values_list("pk", "name")[:500])
            for kind, model in SCOPES.items()
        },
        "tokens": ApiToken.objects.filter(user=person).order_by("-created"),
        "events": Event.objects.filter(actor=person.username).order_by("-pk")[:HISTORY],
        "now": clock.now(),
    }
    return render(request, "user.html", context)


def user_add(request: HttpRequest) -> HttpResponse:
    """Return the form for a new user."""
    only_administrators(request)
    return render(request, "user_add.html")


def tokens(request: HttpRequest) -> HttpResponse:
    """Return the API tokens of the person, or of everybody for administrators."""
    may_see(request)
    everybody = scopes_of(request.user, Role.ADMIN).everything and "all" in request.GET
    rows = ApiToken.objects.select_related("user").order_by("-created")
    if not everybody:
        rows = rows.filter(user_id=request.user.pk)
    context = {
        "tokens": rows[:500],
        "everybody": everybody,
        "may_see_all": scopes_of(request.user, Role.ADMIN).everything,
        "choices": Role.choices,
        "now": clock.now(),
    }
    return render(request, "tokens.html", context)
