"""Operations: the list over their three tables, and one with its progress."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse

from fencing.permissions import TABLES, find, visible
from portal.core.models import OPEN_STATES, Operation, OperationState
from portal.core.pagination import Merged
from portal.core.shapes import as_operation, slug_of
from portal.views import rendering
from portal.views.access import may_see
from portal.views.listing import PAGE_SIZE, query

STATES = ("open", *OperationState.values)
TARGETS = {"host": "hosts", "vm": "VMs", "fence": "power"}


def operations(request: HttpRequest) -> HttpResponse:
    """Return the list of all work that was asked for, the newest first."""
    scopes = may_see(request)
    wanted = {name: request.GET.get(name, "") for name in ("state", "about", "kind")}
    prefixes = [wanted["about"]] if wanted["about"] in TABLES else list(TABLES)
    lists = [visible(prefix, scopes).select_related("host") for prefix in prefixes]
    if wanted["state"] in STATES:
        states = OPEN_STATES if wanted["state"] == "open" else [wanted["state"]]
        lists = [rows.filter(state__in=states) for rows in lists]
    if wanted["kind"]:
        lists = [rows.filter(kind=wanted["kind"][:30].replace("\0", "")) for rows in lists]
    page: Page[Any] = Paginator(Merged(lists, newest_first=True), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    context = {
        "rows": [_row(op) for op in page.object_list],
        "page": page,
        "wanted": wanted,
        "states": STATES,
        "targets": TARGETS,
        "narrowed": any(wanted.values()),
        "before": query(request, page=page.number - 1),
        "after": query(request, page=page.number + 1),
        "here": request.get_full_path(),
    }
    return rendering.page(request, "operations", context)


def _row(op: Operation) -> dict[str, Any]:
    host = getattr(op, "host", None)
    return {"op": op, "slug": slug_of(op), "target": getattr(op, "vm", None) or host}


def operation(request: HttpRequest, slug: str) -> HttpResponse:
    """Return one operation: its steps as they are made, and how it ended."""
    op = find(slug, may_see(request))
    context = {"op": as_operation(op), "row": op, "slug": slug}
    return rendering.page(request, "operation", context)
