"""What stands around every page: the state of HA, the ways to go, who is signed in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from hosts.models import Cluster, ClusterMode, Engine
from portal.core.models import Role
from portal.core.permissions import Scopes, scopes_of
from portal.lib import clock
from portal.lib.ha.owners import DEAD
from portal.views.access import around, covers
from portal.views.rendering import is_part

#: More clusters than this are counted in the header instead of named.
NAMED_CLUSTERS = 3


@dataclass(frozen=True, slots=True)
class Way:
    """One entry of the navigation: the name of its page, icon, words, who is shown it."""

    page: str
    icon: str
    words: str
    for_admins: bool = False  # of everything; else for whoever sees anything


WAYS: dict[str, tuple[Way, ...]] = {
    "Watch": (
        Way("overview", "dashboard", "Overview"),
        Way("incidents", "flame", "Incidents"),
        Way("operations", "activity", "Operations"),
        Way("events", "list", "Events"),
    ),
    "Machines": (
        Way("clusters", "stack-2", "Clusters"),
        Way("hosts", "server-2", "Hosts"),
        Way("vms", "device-desktop", "Virtual machines"),
        Way("power-controllers", "plug", "Power controllers"),
    ),
    "Administration": (
        Way("global-policy", "adjustments", "Policy"),
        Way("notifications", "bell", "Notifications", for_admins=True),
        Way("users", "users", "Users and roles", for_admins=True),
        Way("tokens", "key", "API tokens"),
        Way("self-check-page", "stethoscope", "Self-check", for_admins=True),
        Way("simulator", "timeline", "Simulator"),
        Way("docs", "code", "API"),
    ),
}


def chrome(request: HttpRequest) -> dict[str, Any]:
    """Return, for every template, the frame of the page; nothing for parts and strangers."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or is_part(request):
        return {}
    now = clock.now()
    context = {"now": now, "demo": bool(settings.DEMO_DIR), "nav": ways(request)}
    return context | state(request, now)


def ways(request: HttpRequest) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the navigation for this person, the present page marked."""
    in_charge = scopes_of(request.user, Role.ADMIN).everything
    groups = []
    for title, entries in WAYS.items():
        mine = [way for way in entries if in_charge or not way.for_admins]
        groups.append((title, [_way(way, request.path) for way in mine]))
    return [(title, shown) for title, shown in groups if shown]


def _way(way: Way, path: str) -> dict[str, Any]:
    url = reverse(way.page)
    here = path == url or (url != "/" and path.startswith(url))
    return {"url": url, "icon": way.icon, "words": way.words, "here": here}


def state(request: HttpRequest, now: datetime) -> dict[str, Any]:
    """Return what is always in view: is HA armed where one has a role, does an engine live."""
    mine = around(scopes_of(request.user, Role.VIEWER))
    modes = dict(mine.values_list("pk", "mode"))
    armed = sum(mode == ClusterMode.ARMED for mode in modes.values())
    context: dict[str, Any] = {"clusters_armed": armed, "clusters_all": len(modes)}
    if len(modes) <= NAMED_CLUSTERS:
        context["named_clusters"] = _named(mine, scopes_of(request.user, Role.ADMIN))
    engine = Engine.objects.order_by("-beat_at").first()
    silent = engine is None or now - engine.beat_at > DEAD
    return context | {"engine": engine, "engine_silent": silent}


def _named(mine: QuerySet[Cluster], administrates: Scopes) -> list[Cluster]:
    rows = list(mine.order_by("name"))
    for row in rows:
        row.may_change = covers(administrates, cluster=row.pk)  # type: ignore[attr-defined]  # for the template
    return rows
