"""What lists of controllers, incidents, alerts and events can be filtered by."""

from typing import ClassVar

from django.db.models import Q, QuerySet

from fencing.models import Alert, HaResource, Incident, PowerController
from portal.core.filtering import Filters, Moment, WholeNumber, YesOrNo
from portal.core.models import Event


class ControllerFilter(Filters):
    """``?host=2&state=off``."""

    class Meta:
        model = PowerController
        fields: ClassVar = {"host": ["exact"], "driver": ["exact"], "state": ["exact"]}


class HaResourceFilter(Filters):
    """``?kind=vm&state=degraded&cluster=1``."""

    cluster = WholeNumber(method="in_cluster", label="the cluster that it belongs to")

    class Meta:
        model = HaResource
        fields: ClassVar = {
            "kind": ["exact"],
            "provider": ["exact"],
            "state": ["exact", "in"],
            "enabled": ["exact"],
            "host": ["exact"],
            "vm": ["exact"],
        }

    def in_cluster(
        self, found: QuerySet[HaResource], name: str, value: int
    ) -> QuerySet[HaResource]:
        """Hosts belong to the cluster of their row, everything else names its own."""
        return found.filter(Q(cluster=value) | Q(host__cluster=value))


class IncidentFilter(Filters):
    """``?open=true&host=2``; ``?acknowledged=false`` are those that nobody has seen."""

    open = YesOrNo(field_name="closed_at", lookup_expr="isnull", label="not closed")
    acknowledged = YesOrNo(
        field_name="acknowledged_at", lookup_expr="isnull", exclude=True, label="somebody saw it"
    )

    class Meta:
        model = Incident
        fields: ClassVar = {"host": ["exact"], "vm": ["exact"], "outcome": ["exact"]}


class AlertFilter(Filters):
    """``?open=true&kind=confirm_reboot``."""

    open = YesOrNo(field_name="closed_at", lookup_expr="isnull", label="not closed")

    class Meta:
        model = Alert
        fields: ClassVar = {"kind": ["exact", "in"], "host": ["exact"], "vm": ["exact"]}


class EventFilter(Filters):
    """``?host=2&since=2026-01-01T00:00:00Z``."""

    since = Moment(field_name="at", lookup_expr="gte", label="not before")
    until = Moment(field_name="at", lookup_expr="lt", label="before")

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
