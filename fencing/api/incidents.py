"""Incidents, alerts and events over REST: read-only history."""

from typing import Any, ClassVar

from django.db.models import Q
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.api import export
from fencing.filters import AlertFilter, EventFilter, IncidentFilter
from fencing.models import Alert, Incident
from fencing.permissions import by_numbers, events_in, incidents_in
from fencing.serializers import (
    AcknowledgeSerializer,
    AlertSerializer,
    EventSerializer,
    IncidentSerializer,
    WholeIncidentSerializer,
)
from fencing.services import incidents
from fencing.services.incidents import timeline
from portal.core.models import Event
from portal.core.pagination import NewestFirst
from portal.core.problems import Problem
from portal.core.rest import Resource, caller, verb
from portal.lib import clock


def alerts_of(incident: Incident) -> list[Alert]:
    """Return the alerts about an incident's subject that were open during it."""
    subject = Q(host=incident.host_id) if incident.host_id else Q(vm=incident.vm, host=0)
    found = Alert.objects.filter(subject).filter(
        Q(closed_at__isnull=True) | Q(closed_at__gte=incident.opened_at)
    )
    if incident.closed_at is not None:
        found = found.filter(opened_at__lte=incident.closed_at)
    return list(found)


@extend_schema(tags=["incidents"])
class IncidentViewSet(mixins.ListModelMixin, Resource):
    """Incidents: from the first suspicion to the last restart."""

    queryset = Incident.objects.select_related("host").order_by("-pk")
    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter
    search_fields = ("title", "summary", "host__name")
    ordering_fields = ("opened_at", "closed_at")
    rows: ClassVar[Any] = incidents_in

    @extend_schema(responses=WholeIncidentSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return an incident with its timeline and alerts."""
        incident = self.get_object()
        incident.timeline = timeline(incident)
        incident.alerts = alerts_of(incident)
        return Response(WholeIncidentSerializer(incident).data)

    @verb("acknowledge", takes=AcknowledgeSerializer, answers_itself=True)
    def acknowledge(self, row: Incident, fields: dict[str, Any], request: Request) -> Response:
        """Say that somebody has seen it.  Over at once: answers 200."""
        actor = str(caller(request))
        incidents.acknowledge(row, fields["text"], actor=actor, now=clock.now())
        return Response(self.get_serializer(self.get_object()).data)


@extend_schema(tags=["alerts"])
class AlertViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, Resource):
    """Alerts: what is or was wrong, each with its cure."""

    queryset = Alert.objects.order_by("-pk")
    serializer_class = AlertSerializer
    filterset_class = AlertFilter
    search_fields = ("text",)
    ordering_fields = ("opened_at", "closed_at")
    rows: ClassVar[Any] = by_numbers


@extend_schema(tags=["events"])
class EventViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, Resource):
    """Events: everything that happened, sealed, newest first, by cursor."""

    queryset = Event.objects.order_by("-pk")
    serializer_class = EventSerializer
    filterset_class = EventFilter
    search_fields = ("text", "kind")
    ordering_fields = ()
    pagination_class = NewestFirst
    ordering: ClassVar[list[str]] = ["-pk"]
    rows: ClassVar[Any] = events_in

    def more_parameters(self) -> frozenset[str]:
        """A file has no pages."""
        return frozenset({"format"}) if self.action == "export" else super().more_parameters()

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=[export.CSV, export.LINES])],
        responses={(200, kind): OpenApiTypes.STR for kind in export.TYPES.values()},
        filters=True,
    )
    @action(
        detail=False,
        pagination_class=None,
        renderer_classes=[JSONRenderer, export.CsvRenderer, export.LinesRenderer],
    )
    def export(self, request: Request) -> StreamingHttpResponse:
        """Return the events that the filters leave, oldest first, as a file."""
        form = request.query_params.get("format", export.CSV)
        if form not in export.TYPES:
            text, cure = f"format: there is no {form[:40]!r}", "Write csv or jsonl."
            raise Problem(400, "invalid", text, cure=cure, field="format")
        return export.exported(self.filter_queryset(self.get_queryset()), form)
