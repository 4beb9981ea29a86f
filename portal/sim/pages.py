"""The simulator's pages: all scenarios, and one of them as a picture, step by step."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.sim.drawing import draw
from portal.sim.shelf import NoScenario, Shown, Told, scenarios, shown
from portal.sim.telling import told, why
from portal.views import rendering
from portal.views.access import may_see

#: A search this long finds nothing more.
LONGEST = 100


def listed(request: HttpRequest) -> HttpResponse:
    """Return the list of scenarios, narrowed by ``?search=``."""
    may_see(request)
    everything = scenarios()
    search = request.GET.get("search", "").strip()[:LONGEST]
    found = [item for item in everything if _fits(item, search.lower())]
    context = {"scenarios": found, "search": search, "any": bool(everything)}
    return render(request, "simulator.html", context)


def _fits(item: Told, search: str) -> bool:
    return any(
        search in text.lower() for text in (item.title, item.name, item.sentence, *item.faults)
    )


def scenario(request: HttpRequest, name: str) -> HttpResponse:
    """Return one scenario at ``?step=``, or where its first fault happens."""
    may_see(request)
    try:
        found = shown(name)
        step = _step(found, request.GET.get("step"))
    except NoScenario as error:
        return render(request, "error.html", {"status": 404, "text": str(error)}, status=404)
    return rendering.page(request, "scenario", _context(found, step))


def _step(found: Shown, given: str | None) -> int:
    steps = found.picture.steps
    if given is None:
        return next((step.number for step in steps if step.is_fault), 0)
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else -1
    if not 0 <= number <= len(steps):
        raise NoScenario(f"There is no such step: {found.title} has the steps 0 to {len(steps)}.")
    return number


def _context(found: Shown, step: int) -> dict[str, Any]:
    picture, last = found.picture, len(found.picture.steps)
    at = picture.steps[step - 1] if step else None
    moment = picture.moments[step]
    return {
        "scenario": found,
        "step": step,
        "last": last,
        "back": step - 1 if step else None,
        "forward": step + 1 if step < last else None,
        "at": at.at if at else 0.0,
        "now_step": at,
        "told": told(at) if at else "The beginning: nothing has happened yet",
        "why": why(at) if at else "",
        "drawing": draw(picture, step),
        "hosts": [(lane.name, moment.hosts[lane.name]) for lane in picture.hosts],
        "vms": [
            {
                "name": lane.name,
                "ha": lane.ha,
                "run": moment.vms[lane.name],
                "truth": lane.executing(step),
            }
            for lane in picture.vms
        ],
        "lines": list(enumerate(found.log, 1)),
    }
