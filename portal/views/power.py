"""Power controllers: their list, one of them, and a new one for a host."""

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from fencing.domain.power import PowerState
from fencing.filters import ControllerFilter
from fencing.models import FenceOperation, PowerController
from fencing.permissions import of_hosts
from hosts.models import Host
from hosts.permissions import hosts_in
from portal.core.models import Role
from portal.core.permissions import Scopes, scopes_of
from portal.core.shapes import slug_of
from portal.views import rendering
from portal.views.access import covers, may_see
from portal.views.hosts import power_of
from portal.views.listing import Column, Facet, Listing, words_of

HISTORY = 8


def driver_choices(scopes: Scopes) -> list[tuple[str, str]]:
    """Return the drivers that this installation has."""
    return [(name, name) for name in settings.POWER_DRIVERS]


class ControllerList(Listing):
    """All ways to hosts' power."""

    title, icon = "Power controllers", "plug"
    row_template = "rows/controllers.html"
    live_types = "host"
    filters = ControllerFilter
    columns = (
        Column("address", "Address", "address"),
        Column("host", "Host", "host__name"),
        Column("driver", "Driver", "driver"),
        Column("power", "Says", "state"),
        Column("identity", "Identity", "identity"),
        Column("level", "Level", "level", number=True),
        Column("username", "User", usual=False),
    )
    facets = (
        Facet("state", "Power", words_of(PowerState)),
        Facet("driver", "Driver", driver_choices),
    )
    search_in = ("address", "host__name")
    usual_order = "host__name"
    nothing = (
        "No power controllers yet. Without one a dead host cannot be proven off, and a person "
        "is asked instead. Add a host's BMC on the host's page."
    )

    def rows(self, scopes: Scopes) -> QuerySet[PowerController]:
        """Return the controllers of the hosts that a person may see."""
        found = PowerController.objects.filter(of_hosts(scopes)).defer("password")
        return found.select_related("host__cluster")

    def dress(self, rows: list[Any]) -> None:
        """Add what each said, and what the person may do."""
        for row in rows:
            row.says = power_of(row)
        may_do(rows, self.request.user)


def may_do(rows: list[Any], user: Any) -> None:
    """Give controllers what the person may do with them: the user's name is for who may edit."""
    operates, administrates = scopes_of(user, Role.OPERATOR), scopes_of(user, Role.ADMIN)
    for row in rows:
        around = {"cluster": row.host.cluster_id, "host": row.host_id}
        row.may_act = covers(operates, **around)
        row.may_edit = covers(administrates, **around)


def controller(request: HttpRequest, pk: int) -> HttpResponse:
    """Return a controller's page: what it says, its tests, its settings."""
    rows = PowerController.objects.filter(of_hosts(may_see(request))).defer("password")
    way: Any = get_object_or_404(rows.select_related("host__cluster"), pk=pk)
    way.says = power_of(way)
    may_do([way], request.user)
    asked = FenceOperation.objects.filter(host=way.host_id).order_by("-requested_at")[:HISTORY]
    context = {
        "way": way,
        "operations": [{"op": op, "slug": slug_of(op)} for op in asked],
        "drivers": driver_choices(may_see(request)),
    }
    return rendering.page(request, "controller", context)


def add(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the form for a new controller of a host."""
    edits = scopes_of(request.user, Role.ADMIN)
    host = get_object_or_404(Host.objects.filter(hosts_in(may_see(request))), pk=pk)
    if not covers(edits, cluster=host.cluster_id, host=host.pk):
        raise PermissionDenied
    drivers = driver_choices(may_see(request))
    return render(request, "controller_add.html", {"host": host, "drivers": drivers})
