"""Incidents, alerts and events over REST: read-only history."""

from typing import Any, ClassVar

from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.filters import AlertFilter, EventFilter, IncidentFilter
from fencing.models import Alert, Incident
from fencing.permissions import by_numbers, events_in, incidents_in
from fencing.serializers import (
    AlertSerializer,
    EventSerializer,
    IncidentSerializer,
    WholeIncidentSerializer,
)
from fencing.services.incidents import timeline
from portal.core.models import Event
from portal.core.pagination import NewestFirst
from portal.core.rest import Resource


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
