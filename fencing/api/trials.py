"""Trying a host or a BMC over REST before it is entered: nothing is stored."""

from dataclasses import asdict
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.api.refused import refused
from fencing.api.wishes import PowerWishSerializer
from fencing.domain.drivers import default_port
from fencing.domain.facts import Identity
from fencing.domain.policy import Policy
from fencing.domain.power import PowerState
from fencing.models import PowerController
from fencing.operations import entering as power_entering
from fencing.serializers.power import fitting
from hosts.domain.looks import Look
from hosts.domain.preflight import needs
from hosts.domain.uri import BadHostUri, parse_uri, typed_way
from hosts.models import NAME_CHARS, Host
from hosts.permissions import hosts_in
from hosts.serializers import OneName
from portal.core.filtering import refuse_unknown
from portal.core.models import Role
from portal.core.names import plain
from portal.core.permissions import scopes_of
from portal.core.problems import Problem
from portal.core.related import Seen
from portal.core.rest import Door, Strict, require
from vms.domain.adoption import unprotected, why_not
from vms.operations import adopting, entering
from vms.operations.adopting import Found


class HostWishSerializer(Strict):
    """A machine that may become a host."""

    uri = serializers.CharField(max_length=255)
    name = serializers.CharField(
        max_length=NAME_CHARS,
        required=False,
        default="",
        validators=[plain, OneName(Host.objects.all(), "host")],
    )

    def validate_uri(self, value: str) -> str:
        """Let nothing reach libvirt but a scheme, a host and a port."""
        try:
            return parse_uri(value, schemes=settings.HYPERVISORS.keys())
        except BadHostUri as error:
            raise serializers.ValidationError(str(error)) from None


class GuestSerializer(serializers.Serializer[Any]):
    """A domain on that machine, and what adopting it would mean."""

    uuid = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()
    memory_mib = serializers.IntegerField()
    vcpus = serializers.IntegerField()
    disks = serializers.ListField(child=serializers.CharField())
    adoptable = serializers.BooleanField()
    why_not = serializers.ListField(child=serializers.CharField())
    unprotected = serializers.ListField(child=serializers.CharField())


class HostTrialSerializer(serializers.Serializer[Any]):
    """What was found at an address."""

    hostname = serializers.CharField()
    host_uuid = serializers.CharField(allow_blank=True)
    memory_mib = serializers.IntegerField()
    vcpus = serializers.IntegerField()
    cpu_arch = serializers.CharField(allow_blank=True)
    cpu_model = serializers.CharField(allow_blank=True)
    libvirt = serializers.CharField(allow_blank=True)
    uptime_s = serializers.FloatField(allow_null=True)
    known = serializers.CharField(allow_blank=True, help_text="the host that it is already")
    guests = GuestSerializer(many=True)


class PowerTrialWishSerializer(PowerWishSerializer):
    """A BMC that may become a host's power controller."""

    host = Seen(
        queryset=Host.objects.all(), rows=hosts_in, required=False, allow_null=True, default=None
    )
    host_uuid = serializers.UUIDField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take an address that is entered already: it is only asked."""
        fitting(attrs["driver"], attrs["options"])
        attrs.setdefault("port", default_port(attrs["driver"], attrs["options"]))
        return attrs


class PowerTrialSerializer(serializers.Serializer[Any]):
    """What a BMC says, and whose it is."""

    state = serializers.ChoiceField(choices=[item.value for item in PowerState])
    identity = serializers.ChoiceField(choices=[item.value for item in Identity])
    guid = serializers.CharField(allow_null=True)
    text = serializers.CharField()


class NeedSerializer(serializers.Serializer[Any]):
    """One thing that must be ready before a host is entered."""

    scheme = serializers.CharField(allow_blank=True)
    where = serializers.ChoiceField(choices=["portal", "host"])
    what = serializers.CharField()
    why = serializers.CharField()
    command = serializers.CharField()


class _Trial(Door):
    """For whoever may enter hosts somewhere: the portal connects where it is told to."""

    role: ClassVar[Role] = Role.ADMIN
    filter_backends = ()


def _enters_hosts(request: Request) -> None:
    """Raise 403 unless the caller administrates a cluster."""
    scopes = scopes_of(request.user, Role.ADMIN, request.auth)
    if not (scopes.everything or scopes.clusters):
        text = "this needs the role admin over a cluster"
        cure = "Ask an administrator for that role."
        raise Problem(403, "permission_denied", text, cure=cure)


def _known_to(request: Request, uri: str, look: Look) -> str:
    """Return the host that a machine is already, by name; 403 where it is none of the caller's.

    A host whose machine was never seen is known by its URI alone.
    """
    same = Q(host_uuid=look.host_uuid) & ~Q(host_uuid="")
    twin = Host.objects.filter(same | Q(uri=uri)).first()
    if twin is not None:
        require(request, Role.ADMIN, cluster=twin.cluster_id, host=twin.pk)
    return twin.name if twin else ""


@extend_schema(tags=["trials"])
class HostTrial(_Trial):
    """Trying a host."""

    @extend_schema(
        request=HostWishSerializer,
        responses={200: HostTrialSerializer},
        operation_id="trials_host",
    )
    def post(self, request: Request) -> Response:
        """Look once at a machine, and say what was found; nothing is stored or changed."""
        _enters_hosts(request)
        form = HostWishSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        wish = form.validated_data
        host = Host(name=wish["name"] or wish["uri"], uri=wish["uri"])
        with refused(), entering.reached(host) as (hypervisor, look):
            known = _known_to(request, wish["uri"], look)
            guests = adopting.found_on(hypervisor, look)
        more = {"known": known, "guests": [_guest(item) for item in guests]}
        told = {name: getattr(look, name) for name in look.__slots__} | more
        return Response(HostTrialSerializer(told).data)


def _guest(found: Found) -> dict[str, Any]:
    guest, reasons = found.candidate.guest, why_not(found.candidate)
    return {
        "uuid": guest.uuid,
        "name": guest.name,
        "state": str(guest.state),
        "memory_mib": guest.memory_mib,
        "vcpus": guest.vcpus,
        "disks": list(guest.disks),
        "adoptable": not reasons,
        "why_not": list(reasons),
        "unprotected": list(unprotected(found.candidate)),
    }


@extend_schema(tags=["trials"])
class PowerTrial(_Trial):
    """Trying a BMC."""

    @extend_schema(
        request=PowerTrialWishSerializer,
        responses={200: PowerTrialSerializer},
        operation_id="trials_power",
    )
    def post(self, request: Request) -> Response:
        """Read a BMC's power state and whose BMC it is; nothing is stored or switched."""
        form = PowerTrialWishSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        host, uuid = fields.pop("host"), fields.pop("host_uuid")
        if host is not None:
            require(request, Role.ADMIN, host=host.pk, cluster=host.cluster_id)
        else:
            _enters_hosts(request)
            host = Host(name="the host", host_uuid=str(uuid or ""))
        with refused():
            found = power_entering.read(PowerController(host=host, **fields), Policy().bmc_deadline)
        return Response(PowerTrialSerializer(asdict(found)).data)


@extend_schema(tags=["trials"])
class Preflight(_Trial):
    """What must be ready before a host is entered."""

    @extend_schema(
        responses={200: NeedSerializer(many=True)},
        parameters=[
            OpenApiParameter("uri", str, required=True, description="as far as it is typed")
        ],
        operation_id="preflight",
    )
    def get(self, request: Request) -> Response:
        """List ports, certificates and rights, each with one command and where to run it."""
        _enters_hosts(request)
        refuse_unknown(request, ["uri"])
        try:
            way = typed_way(request.query_params.get("uri", ""))
        except BadHostUri as error:
            cure = "Write a URI such as qemu+tls://HOST/system, with the host's name or IP address."
            raise Problem(400, "invalid", str(error), cure=cure, field="uri") from None
        return Response(NeedSerializer([asdict(item) for item in needs(way)], many=True).data)
