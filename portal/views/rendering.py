"""A page or the part of it that changes; a dialog's inside or a page around it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def is_part(request: HttpRequest) -> bool:
    """Whether a script asks for what goes into a page that is open already."""
    return "X-Part" in request.headers


def page(request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
    """Return ``parts/<name>.html`` to a script, ``<name>.html`` to a browser."""
    return render(request, f"parts/{name}.html" if is_part(request) else f"{name}.html", context)


def dialog(
    request: HttpRequest, name: str, context: dict[str, Any], *, title: str, status: int = 200
) -> HttpResponse:
    """Return the inside of a dialog to a script, a whole page to a plain browser."""
    inside = f"parts/{name}.html"
    if is_part(request):
        return render(request, inside, context, status=status)
    around = context | {"inside": inside, "dialog_title": title}
    return render(request, "confirm.html", around, status=status)
