"""What is sent to enter a host whole: its power controller, and what runs on it."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from fencing.api.shown import ShownHostSerializer
from fencing.serializers.power import ControllerSerializer
from hosts.models import Host
from portal.core.rest import Strict
from portal.core.shapes import OperationSerializer


class PowerWishSerializer(Strict):
    """A power controller that is entered together with its host."""

    driver = serializers.ChoiceField(choices=[], default="ipmi")
    address = serializers.CharField(max_length=255)
    port = serializers.IntegerField(min_value=1, max_value=65535, required=False)
    username = serializers.CharField(max_length=100)
    password = serializers.CharField(write_only=True, trim_whitespace=False, max_length=200)
    level = serializers.IntegerField(min_value=1, max_value=9, required=False)
    options = serializers.DictField(child=serializers.CharField(max_length=300), default=dict)

    def get_fields(self) -> dict[str, Any]:
        """Offer the drivers that this installation has."""
        fields = super().get_fields()
        fields["driver"].choices = sorted(settings.POWER_DRIVERS)  # type: ignore[attr-defined]  # a ChoiceField
        return fields

    def validate_address(self, value: str) -> str:
        """Take what a controller of its own would take."""
        return ControllerSerializer().validate_address(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a second way to the same BMC."""
        return ControllerSerializer().validate(attrs)


class EnterHostSerializer(ShownHostSerializer):
    """A host as it is entered: with its power controller, and VMs to adopt, if they are named."""

    power = PowerWishSerializer(  # type: ignore[assignment]  # a wish goes in, controllers come out
        write_only=True, required=False, allow_null=True
    )
    adopt = serializers.ListField(
        child=serializers.UUIDField(), write_only=True, required=False, max_length=500
    )
    adopt_ha = serializers.BooleanField(write_only=True, default=False)

    class Meta(ShownHostSerializer.Meta):
        ref_name = "EnterHost"
        fields = (*ShownHostSerializer.Meta.fields, "adopt", "adopt_ha")

    def validate_adopt(self, value: list[Any]) -> list[str]:
        """Return each UUID once, as text."""
        return list(dict.fromkeys(map(str, value)))

    def to_representation(self, instance: Host) -> dict[str, Any]:
        """Answer with the host as it is read."""
        return dict(ShownHostSerializer(instance, context=self.context).data)


class AdoptSerializer(Strict):
    """Which domains of a host to adopt."""

    vms = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=500)
    ha = serializers.BooleanField(default=False)

    def validate_vms(self, value: list[Any]) -> list[str]:
        """Return each UUID once, as text."""
        return list(dict.fromkeys(map(str, value)))


class AdoptedSerializer(serializers.Serializer[Any]):
    """The work that adoption leaves to do: one operation for each VM."""

    operations = OperationSerializer(many=True)
