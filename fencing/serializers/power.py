"""Power controllers as JSON: passwords go in and never come out; options fit their driver."""

from functools import cached_property
from typing import Any, ClassVar

from django.conf import settings
from rest_framework import serializers

from fencing.domain.drivers import BadOption, checked_options, default_port, machine_at
from fencing.models import PowerController
from hosts.domain.uri import BadHostUri, canonical_host
from hosts.models import Host
from hosts.permissions import hosts_in
from portal.core.models import Role
from portal.core.permissions import Scopes, scopes_of
from portal.core.related import Seen
from portal.core.rest import Strict


class ControllerSerializer(Strict, serializers.ModelSerializer[PowerController]):
    """A way to a host's power.  The password goes in and never comes out.

    The user's name is empty for those who may not change the controller: many BMCs
    give a hash of the password to whoever knows the name.
    """

    host = Seen(queryset=Host.objects.all(), rows=hosts_in)
    driver = serializers.ChoiceField(choices=[], required=False)
    password = serializers.CharField(write_only=True, trim_whitespace=False, max_length=200)
    port = serializers.IntegerField(
        min_value=1, max_value=65535, required=False, help_text="Without it, the driver's own."
    )
    level = serializers.IntegerField(min_value=1, max_value=9, required=False)
    options = serializers.DictField(
        child=serializers.CharField(max_length=300),
        required=False,
        help_text="What the driver takes besides; a fence agent is named by “agent”.",
    )

    class Meta:
        model = PowerController
        fields: ClassVar[Any] = (
            "id",
            "host",
            "driver",
            "address",
            "port",
            "username",
            "password",
            "level",
            "options",
            "trusted",
            "distrust_reason",
            "identity",
            "state",
            "problem",
            "problem_text",
            "asked_at",
            "answered_at",
            "off_reads",
            "version",
        )
        read_only_fields = (
            "trusted",
            "distrust_reason",
            "identity",
            "state",
            "problem",
            "problem_text",
            "asked_at",
            "answered_at",
            "off_reads",
            "version",
        )
        validators: ClassVar[Any] = []  # see validate(), which names the field

    def get_fields(self) -> dict[str, Any]:
        """Offer the drivers that this installation has."""
        fields = super().get_fields()
        fields["driver"].choices = sorted(settings.POWER_DRIVERS)  # type: ignore[attr-defined]  # a ChoiceField
        return fields

    def to_representation(self, instance: PowerController) -> dict[str, Any]:
        """Tell the user's name to administrators of the host."""
        told: dict[str, Any] = super().to_representation(instance)
        mine, host = self._administers, instance.host
        if not (mine.everything or host.cluster_id in mine.clusters or host.pk in mine.hosts):
            told["username"] = ""
        return told

    @cached_property
    def _administers(self) -> Scopes:
        request = self.context.get("request")
        return scopes_of(request.user, Role.ADMIN, request.auth) if request else Scopes()

    def validate_host(self, value: Host) -> Host:
        """Keep a controller at its host: its readings are about that one."""
        if isinstance(self.instance, PowerController) and self.instance.host_id != value.pk:
            raise serializers.ValidationError("add a new controller to the other host instead")
        return value

    def validate_address(self, value: str) -> str:
        """Let nothing through that a shell or an option parser could take for more."""
        try:
            return canonical_host(value)
        except BadHostUri:
            text = "write a host name or an IP address; a port goes into “port”"
            raise serializers.ValidationError(text) from None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check what belongs together: a driver with its options and port, and a free place."""
        row = self.instance if isinstance(self.instance, PowerController) else PowerController()
        driver = attrs.get("driver", row.driver)
        options = attrs.get("options", row.options)
        if {"driver", "options"} & set(attrs) or row.pk is None:
            fitting(driver, options)
        moves = row.pk is None or driver != row.driver or _agent(options) != _agent(row.options)
        if "port" not in attrs and moves:
            attrs["port"] = default_port(driver, options)
        place = {"driver": driver, "address": attrs.get("address", row.address)}
        place["port"] = attrs.get("port", row.port)
        if _is_taken(row, place, options):
            text = "another power controller is at this address and port: correct this address"
            raise serializers.ValidationError({"address": f"{text}, or edit that controller"})
        return attrs


def fitting(driver: str, options: dict[str, Any]) -> None:
    """Raise a validation error that names the option, unless the driver takes them all."""
    try:
        checked_options(driver, options)
    except BadOption as error:
        raise serializers.ValidationError({"options": {error.name: str(error)}}) from None


def _agent(options: dict[str, Any]) -> object:
    return options.get("agent")


def _is_taken(row: PowerController, place: dict[str, Any], options: dict[str, Any]) -> bool:
    """Whether another controller leads to the same machine: its answers are about one host."""
    others = PowerController.objects.exclude(pk=row.pk).filter(**place)
    mine = machine_at(options)
    theirs = [machine_at(found) for found in others.values_list("options", flat=True)]
    # Without a name it is the only machine there.
    return any(not mine or not name or name == mine for name in theirs)
