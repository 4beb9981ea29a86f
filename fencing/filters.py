"""What lists of controllers, incidents, alerts and events can be filtered by."""

from typing import ClassVar

from django_filters import rest_framework as filters

from fencing.models import Alert, Incident, PowerController
from portal.core.models import Event


class ControllerFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    """``?host=2&state=off``."""

    class Meta:
        model = PowerController
        fields: ClassVar = {"host": ["exact"], "driver": ["exact"], "state": ["exact"]}


class IncidentFilter(filters.FilterSet):  # type: ignore[misc]  # as above
    """``?open=true&host=2``."""

    open = filters.BooleanFilter(field_name="closed_at", lookup_expr="isnull", label="not closed")

    class Meta:
        model = Incident
        fields: ClassVar = {"host": ["exact"], "vm": ["exact"], "outcome": ["exact"]}


class AlertFilter(filters.FilterSet):  # type: ignore[misc]  # as above
    """``?open=true&kind=confirm_reboot``."""

    open = filters.BooleanFilter(field_name="closed_at", lookup_expr="isnull", label="not closed")

    class Meta:
        model = Alert
        fields: ClassVar = {"kind": ["exact", "in"], "host": ["exact"], "vm": ["exact"]}


class EventFilter(filters.FilterSet):  # type: ignore[misc]  # as above
    """``?host=2&since=2026-01-01T00:00:00Z``."""

    since = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte", label="not before")
    until = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt", label="before")

    class Meta:
        model = Event
        fields: ClassVar = {
            "kind": ["exact", "startswith"],
            "cluster": ["exact"],
            "host": ["exact"],
            "vm": ["exact"],
            "incident": ["exact"],
            "actor": ["exact"],
        }
