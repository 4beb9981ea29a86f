"""Notifications: who is told of what, and what came of every message."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from hosts.models import Cluster
from portal.core.models import Delivery, NotificationTarget, OperationState
from portal.lib.told import Channel, Told
from portal.views import rendering
from portal.views.listing import PAGE_SIZE, query
from portal.views.people import only_administrators

#: What a target can be told, in words.
WHAT = {
    Told.EVERYTHING: "everything that happens",
    Told.FENCES: "every fence and its outcome, and what needs a person",
    Told.NEEDS_PERSON: "only what needs a person",
}


def notifications(request: HttpRequest) -> HttpResponse:
    """Return the targets and the log of deliveries."""
    only_administrators(request)
    wanted = request.GET.get("state", "")
    found = Delivery.objects.select_related("target").order_by("-pk")
    if wanted in OperationState.values:
        found = found.filter(state=wanted)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "targets": NotificationTarget.objects.defer("secret").order_by("name"),
        "deliveries": page,
        "page": page,
        "wanted": wanted,
        "states": OperationState.values,
        "before": query(request, page=page.number - 1),
        "after": query(request, page=page.number + 1),
        "here": request.get_full_path(),
    }
    return rendering.page(request, "notifications", context)


def add(request: HttpRequest) -> HttpResponse:
    """Return the form for a new target."""
    return _form(request, None)


def target(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the form of a target."""
    return _form(request, pk)


def _form(request: HttpRequest, pk: int | None) -> HttpResponse:
    only_administrators(request)
    rows = NotificationTarget.objects.defer("secret")
    context = {
        "target": get_object_or_404(rows, pk=pk) if pk else None,
        "kinds": list(Channel),
        "whats": list(WHAT.items()),
        "clusters": Cluster.objects.order_by("name").values_list("pk", "name"),
    }
    return render(request, "notification_target.html", context)
