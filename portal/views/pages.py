"""Whole pages: the overview, an incident, a host to be confirmed; and errors."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, render

from fencing.api.incidents import alerts_of
from fencing.models import Incident
from fencing.permissions import incidents_in
from fencing.services.incidents import timeline
from portal.core import problems
from portal.core.models import Event, Role, User
from portal.core.permissions import scopes_of
from portal.core.slashes import cure_of
from portal.lib import clock
from portal.views import parts
from portal.views.access import may_see
from portal.views.first_steps import first_steps
from vms.models import Run


def overview(request: HttpRequest) -> HttpResponse:
    """Return the page that says what needs a person, and how everything is."""
    context = parts.everything(request)
    user = request.user
    if isinstance(user, User) and scopes_of(user, Role.ADMIN).everything:
        context["steps"] = first_steps(user)
    return render(request, "overview.html", context)


def incident(request: HttpRequest, pk: int, *, part: bool = False) -> HttpResponse:
    """Return an incident from first suspicion to last restart; ``part``: only what changes."""
    scopes, now = may_see(request), clock.now()
    rows = Incident.objects.filter(incidents_in(scopes)).select_related("host")
    found = get_object_or_404(rows, pk=pk)
    lines = [_line(event, found) for event in timeline(found)]
    moves = _moves(found, lines)
    # The proof of a VM's end, one line above, says the same with its evidence.
    lines = [line for line in lines if line["event"].kind != "incident.vm"]
    end = found.closed_at or now
    context: dict[str, Any] = {
        "incident": found,
        "now": now,
        "demo": bool(settings.DEMO_DIR),
        "may_acknowledge": _may_acknowledge(request, found),
        "lines": lines,
        "alerts": alerts_of(found),
        "moves": moves,
        "took_s": (end - found.opened_at).total_seconds(),
    }
    if part:
        return render(request, "parts/incident.html", context)
    return render(request, "incident.html", context)


def _may_acknowledge(request: HttpRequest, found: Incident) -> bool:
    mine = incidents_in(scopes_of(request.user, Role.OPERATOR))
    return Incident.objects.filter(mine, pk=found.pk).exists()


def incident_part(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the part of an incident's page that changes."""
    return incident(request, pk, part=True)


def _line(event: Event, found: Incident) -> dict[str, Any]:
    return {"event": event, "after_s": (event.at - found.opened_at).total_seconds()}


def _moves(found: Incident, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return where each VM was, what proved it over, and where it went, as of the incident."""
    ids = {line["event"].vm for line in lines if line["event"].vm}
    runs = Run.objects.filter(vm__in=ids).select_related("vm", "host", "proof")
    if found.closed_at is not None:
        runs = runs.filter(started_at__lte=found.closed_at)  # later ones are another story
    by_vm: dict[int, list[Run]] = {}
    for run in runs.order_by("vm__name", "generation"):
        by_vm.setdefault(run.vm_id, []).append(run)
    moves = []
    for mine in by_vm.values():
        end = found.closed_at or datetime.max.replace(tzinfo=UTC)
        over = [run for run in mine if run.ended_at and found.opened_at <= run.ended_at <= end]
        if not over:
            continue
        old = over[0]
        new = next(
            (run for run in mine if run not in over and run.generation > old.generation), None
        )
        up = new.running_at if new else None
        down_s = (up - found.opened_at).total_seconds() if up else None
        moves.append({"vm": old.vm, "old": old, "new": new, "down_s": down_s})
    return moves


def _error(
    request: HttpRequest, status: int, code: str, text: str, **more: Any
) -> HttpResponseBase:
    """Return an error as a problem for programs, and as a page for people."""
    if request.path.startswith("/api/"):
        cure = cure_of(request) if status == 404 else ""
        told = problems.body(status, code, text, cure=cure)
        return JsonResponse(told, status=status, content_type=problems.MEDIA_TYPE)
    return render(request, "error.html", {"status": status, "text": text, **more}, status=status)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 403; to somebody without any role every page does."""
    roleless = request.user.is_authenticated and not scopes_of(request.user, Role.VIEWER)
    text = "You have no role yet." if roleless else "Your role does not cover this."
    return _error(request, 403, "permission_denied", text, roleless=roleless)


def missing(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 404."""
    return _error(request, 404, "not_found", "There is nothing here, or nothing you may see.")


def too_many(request: HttpRequest) -> HttpResponseBase:
    """Answer 429 to somebody who tries too often."""
    return _error(request, 429, "throttled", "Too many tries. Wait some minutes, then try again.")


def broken(request: HttpRequest) -> HttpResponseBase:
    """Answer 500; the log holds the cause."""
    return _error(request, 500, "internal_error", "The portal made a mistake; it is in its log.")


def forged(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Answer a form that did not come from this portal's own page, or came too late."""
    text = "This form was too old, or not ours. Go back, reload the page and send it again."
    return _error(request, 403, "csrf", text)
