"""Power, HA and incidents as JSON, and the hosts and clusters that they complete."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fencing.domain.alerts import CURE, AlertKind
from fencing.domain.policy import PolicyError, validate
from fencing.models import Alert, HaResource, Incident, PowerController
from fencing.selectors import shelter_of
from hosts.models import Host
from hosts.permissions import hosts_in
from hosts.serializers import ClusterSerializer, HostSerializer
from portal.core.models import Event
from portal.core.related import Seen
from portal.core.rest import Strict
from vms.domain.protection import why_not
from vms.models import Vm
from vms.serializers import VmEditSerializer, VmSerializer


def checked_policy(value: dict[str, Any]) -> dict[str, Any]:
    """Return policy overrides, or a validation error that names the setting."""
    try:
        return dict(validate(value))
    except PolicyError as error:
        text = str(error).removeprefix(f"{error.name}: ")
        raise serializers.ValidationError({error.name: text}) from None


class PolicyClusterSerializer(ClusterSerializer):
    """A cluster whose policy overrides are checked."""

    class Meta(ClusterSerializer.Meta):
        ref_name = "Cluster"

    def validate_policy(self, value: dict[str, Any]) -> dict[str, Any]:
        """Check every override against its range."""
        return checked_policy(value)


class HaSerializer(serializers.ModelSerializer[HaResource]):
    """What HA is doing about a host, and which engine looks at it."""

    owner = serializers.CharField(source="host.owner", read_only=True)

    class Meta:
        model = HaResource
        fields = ("state", "since", "reason", "owner")


class ProtectionSerializer(serializers.Serializer[Any]):
    """Whether HA would restart a VM elsewhere if its host died now."""

    protected = serializers.BooleanField()
    why_not = serializers.ListField(child=serializers.CharField())


class ProtectedVmSerializer(VmSerializer):
    """A VM, and whether HA protects it."""

    protection = serializers.SerializerMethodField()

    class Meta(VmSerializer.Meta):
        ref_name = "Vm"
        fields = (*VmSerializer.Meta.fields, "protection")

    @extend_schema_field(ProtectionSerializer)
    def get_protection(self, vm: Vm) -> dict[str, Any]:
        """Judge by what the view has loaded (see ``shelter_of``)."""
        reasons = why_not(shelter_of(vm))
        return {"protected": not reasons, "why_not": list(reasons)}


class ProtectedVmEditSerializer(VmEditSerializer, ProtectedVmSerializer):
    """What may be changed of a VM while it lives."""

    class Meta(VmEditSerializer.Meta):
        fields = ProtectedVmSerializer.Meta.fields


class PowerSerializer(serializers.ModelSerializer[PowerController]):
    """What a host's BMC last said."""

    class Meta:
        model = PowerController
        fields = ("id", "state", "asked_at", "problem", "identity", "trusted")


class ProtectedHostSerializer(HostSerializer):
    """A host with its HA state and what its BMCs say."""

    ha = HaSerializer(read_only=True, allow_null=True, default=None)
    power = PowerSerializer(source="controllers", many=True, read_only=True)

    class Meta(HostSerializer.Meta):
        fields = (*HostSerializer.Meta.fields, "ha", "power")

    def validate_policy(self, value: dict[str, Any]) -> dict[str, Any]:
        """Check every override against its range."""
        return checked_policy(value)


class EventSerializer(serializers.ModelSerializer[Event]):
    """One thing that happened, sealed."""

    class Meta:
        model = Event
        fields = (
            "id",
            "at",
            "kind",
            "text",
            "evidence",
            "rule",
            "actor",
            "cluster",
            "host",
            "vm",
            "incident",
            "seal",
        )


class LineSerializer(serializers.ModelSerializer[Event]):
    """One line of an incident's timeline."""

    class Meta:
        model = Event
        fields = ("id", "at", "kind", "text", "rule", "evidence", "actor", "host", "vm")


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """Something that is wrong, and what to do about it."""

    cure = serializers.SerializerMethodField()

    class Meta:
        model = Alert
        fields = ("id", "kind", "host", "vm", "text", "cure", "opened_at", "closed_at")

    def get_cure(self, alert: Alert) -> str:
        """Return what a person can do."""
        return CURE[AlertKind(alert.kind)]


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    """From the first suspicion to the last restart."""

    host_name = serializers.CharField(source="host.name", read_only=True, default="")

    class Meta:
        model = Incident
        fields: ClassVar[Any] = (
            "id",
            "host",
            "host_name",
            "vm",
            "title",
            "opened_at",
            "closed_at",
            "outcome",
            "summary",
            "acknowledged_at",
            "acknowledged_by",
            "acknowledged_text",
        )


class WholeIncidentSerializer(IncidentSerializer):
    """An incident with its timeline and the alerts of its subject."""

    timeline = LineSerializer(many=True, read_only=True)
    alerts = AlertSerializer(many=True, read_only=True)

    class Meta(IncidentSerializer.Meta):
        fields = (*IncidentSerializer.Meta.fields, "timeline", "alerts")


class ConfirmSerializer(Strict):
    """A person's word that a host is off or has been rebooted."""

    host_name = serializers.CharField(max_length=100, help_text="The host's name, typed again.")
    reason = serializers.CharField(
        max_length=2000, allow_blank=True, help_text="How you know that it is off."
    )
    override = serializers.BooleanField(
        default=False, help_text="Although the BMC says on; administrators only."
    )


class FenceSerializer(Strict):
    """What to do with a host's power."""

    action = serializers.ChoiceField(choices=["status", "off", "on"])


class AcknowledgeSerializer(Strict):
    """What somebody who has seen an incident has to say about it."""

    text = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")


class StartSerializer(Strict):
    """Where to start a VM; without a host the portal chooses."""

    host = Seen(
        queryset=Host.objects.all(), rows=hosts_in, required=False, allow_null=True, default=None
    )
