"""Incidents: their list."""

from typing import Any

from django.db.models import QuerySet

from fencing.filters import IncidentFilter
from fencing.models import Incident
from fencing.permissions import incidents_in
from portal.core.permissions import Scopes
from portal.views.listing import Column, Facet, Listing, yes_or_no


def took(incident: Incident) -> float | None:
    """Return how long a closed incident lasted, in seconds."""
    end = incident.closed_at
    return (end - incident.opened_at).total_seconds() if end else None


class IncidentList(Listing):
    """All incidents, the newest first."""

    title, icon = "Incidents", "flame"
    row_template = "rows/incidents.html"
    live_types = "incident"
    filters = IncidentFilter
    columns = (
        Column("title", "Incident"),
        Column("outcome", "Outcome", "outcome"),
        Column("opened", "Began", "opened_at"),
        Column("took", "Took", number=True),
        Column("host", "Host", "host__name", usual=False),
    )
    facets = (Facet("open", "Open", yes_or_no("yes", "no")),)
    search_in = ("title", "summary", "host__name")
    usual_order = "-opened_at"
    nothing = "No incident so far. Each one keeps its timeline here, with the reason of every step."

    def rows(self, scopes: Scopes) -> QuerySet[Incident]:
        """Return the incidents that a person may see."""
        return Incident.objects.filter(incidents_in(scopes)).select_related("host")

    def dress(self, rows: list[Any]) -> None:
        """Add how long each took."""
        for row in rows:
            row.took_s = took(row)
