"""Events: everything that happened, the newest first; and one with its evidence."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from fencing.filters import EventFilter
from fencing.permissions import events_in
from hosts.models import Cluster, Host
from portal.core.filtering import GREATEST, SEARCH_CHARS
from portal.core.models import Event
from portal.views.access import may_see
from portal.views.listing import PAGE_SIZE, query
from vms.models import Vm


def events(request: HttpRequest) -> HttpResponse:
    """Return a page of events; ``?before=ID`` goes on where the last page ended."""
    found = Event.objects.filter(events_in(may_see(request)))
    chosen = EventFilter(request.GET, queryset=found)
    notes = [f"{name}: {'; '.join(map(str, text))}" for name, text in chosen.errors.items()]
    found = found if notes else chosen.qs
    words = request.GET.get("search", "")[:SEARCH_CHARS].replace("\0", "")
    for word in words.split():
        found = found.filter(text__icontains=word)
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and int(before[:20]) <= GREATEST:
        found = found.filter(pk__lt=int(before))
    rows = list(found.order_by("-pk")[: PAGE_SIZE + 1])
    narrowing = [name for name in EventFilter.base_filters if request.GET.get(name)]
    context = {
        "rows": rows[:PAGE_SIZE],
        "subjects": subjects(rows),
        "notes": notes,
        "search": words,
        "chips": [
            {"name": name, "value": request.GET[name], "without": query(request, **{name: None})}
            for name in narrowing
        ],
        "narrowed": bool(words or narrowing),
        "older": query(request, before=rows[PAGE_SIZE - 1].pk) if len(rows) > PAGE_SIZE else "",
        "newest": query(request, before=None) if before else "",
        "here": request.get_full_path(),
    }
    whole = "X-Part" not in request.headers
    return render(request, "events.html" if whole else "parts/event_rows.html", context)


def subjects(rows: list[Event]) -> dict[str, dict[int, str]]:
    """Return the names of what events are about, as far as it still exists."""
    return {
        "cluster": _names(Cluster, {row.cluster for row in rows}),
        "host": _names(Host, {row.host for row in rows}),
        "vm": _names(Vm, {row.vm for row in rows}),
    }


def _names(model: Any, ids: set[int]) -> dict[int, str]:
    return dict(model.objects.filter(pk__in=ids - {0}).values_list("pk", "name"))


def event(request: HttpRequest, pk: int) -> HttpResponse:
    """Return one event with its evidence, rule and seal."""
    found = get_object_or_404(Event.objects.filter(events_in(may_see(request))), pk=pk)
    return render(request, "event.html", {"event": found, "subjects": subjects([found])})
