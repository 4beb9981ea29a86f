"""Clusters and hosts as JSON; what is observed is read-only."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from hosts.domain.uri import BadHostUri, parse_uri
from hosts.models import NAME_CHARS, Cluster, Host
from hosts.permissions import clusters_in
from portal.core.names import plain, readable
from portal.core.related import Seen
from portal.core.rest import Strict
from portal.lib import clock

#: A cluster that is to observe for longer is not armed again by itself.
LONGEST_OBSERVATION = timedelta(days=30)


class OneName(UniqueValidator):
    """Refuses a name that only letter case tells from another one's."""

    def __init__(self, rows: QuerySet[Any], kind: str) -> None:
        text = f"another {kind} is named so (letter case does not count): choose another name"
        super().__init__(rows, message=text, lookup="iexact")

    def filter_queryset(self, value: Any, queryset: Any, field_name: str) -> Any:
        """Ask for nothing that is too long to be a name: SQLite's LIKE has a limit."""
        if len(value) > NAME_CHARS:
            return queryset.none()
        return super().filter_queryset(value, queryset, field_name)


class ClusterSerializer(Strict, serializers.ModelSerializer[Cluster]):
    """A cluster: its mode, and its own overrides of the policy."""

    policy = serializers.DictField(required=False)

    class Meta:
        model = Cluster
        fields: ClassVar[Any] = ("id", "name", "mode", "observe_until", "policy", "version")
        read_only_fields = ("mode", "observe_until", "version")
        extra_kwargs: ClassVar[Any] = {
            "name": {"validators": [readable, OneName(Cluster.objects.all(), "cluster")]}
        }


class ObserveSerializer(Strict):
    """For how long a cluster shall only observe; without an end until somebody arms it."""

    until = serializers.DateTimeField(required=False, allow_null=True, default=None)

    def validate_until(self, until: datetime | None) -> datetime | None:
        """Refuse an end that is no time ahead."""
        if until is not None and not timedelta(0) < until - clock.now() <= LONGEST_OBSERVATION:
            days = LONGEST_OBSERVATION.days
            text = f"must lie ahead, and within {days} days: leave it out to observe without end"
            raise serializers.ValidationError(text)
        return until


class HindranceSerializer(serializers.Serializer[Any]):
    """Why something cannot be removed now."""

    text = serializers.CharField()
    cure = serializers.CharField()


class RemovalSerializer(serializers.Serializer[Any]):
    """What a removal would do."""

    allowed = serializers.BooleanField()
    hindrances = HindranceSerializer(many=True)
    stays_behind = serializers.ListField(child=serializers.CharField())
    cleaned = serializers.ListField(child=serializers.CharField())


class CpuSerializer(serializers.Serializer[Any]):
    """The processor that libvirt reports."""

    arch = serializers.CharField(source="cpu_arch")
    model = serializers.CharField(source="cpu_model")


class OtherGuestSerializer(serializers.Serializer[Any]):
    """A guest of a host that the portal does not look after."""

    uuid = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()


class HostSerializer(Strict, serializers.ModelSerializer[Host]):
    """A host: how it is reached, what was last seen of it, what is wanted of it."""

    cluster = Seen(queryset=Cluster.objects.all(), rows=clusters_in)
    cpu = CpuSerializer(source="*", read_only=True)
    others = OtherGuestSerializer(many=True, read_only=True)
    policy = serializers.DictField(required=False)
    networks = serializers.ListField(
        child=serializers.CharField(),
        read_only=True,
        allow_null=True,
        help_text="Active networks; null where the host does not tell.",
    )
    storage = serializers.ListField(
        child=serializers.CharField(),
        read_only=True,
        allow_null=True,
        help_text="Active storage pools; null where the host does not tell.",
    )

    class Meta:
        model = Host
        fields: ClassVar[Any] = (
            "id",
            "name",
            "uri",
            "cluster",
            "policy",
            "status",
            "status_reason",
            "status_since",
            "wanted",
            "last_seen",
            "kernel_seen",
            "host_uuid",
            "hostname",
            "memory_mib",
            "vcpus",
            "cpu",
            "networks",
            "storage",
            "uptime_s",
            "ineligible",
            "is_self",
            "others",
            "version",
        )
        read_only_fields: ClassVar[Any] = tuple(
            name for name in fields if name not in ("name", "uri", "cluster", "policy", "is_self")
        )

        extra_kwargs: ClassVar[Any] = {
            "name": {"validators": [plain, OneName(Host.objects.all(), "host")]},
            "uri": {"validators": []},  # below, where its canonical form is known
        }

    def validate_uri(self, value: str) -> str:
        """Let nothing reach libvirt but a scheme, a host and a port; each machine once."""
        try:
            uri = parse_uri(value, schemes=settings.HYPERVISORS.keys())
        except BadHostUri as error:
            raise serializers.ValidationError(str(error)) from None
        others = Host.objects.exclude(pk=self.instance.pk if isinstance(self.instance, Host) else 0)
        if others.filter(uri=uri).exists():
            text = f"another host is reached by {uri} already: edit that one, or correct this URI"
            raise serializers.ValidationError(text)
        return uri

    def validate_cluster(self, value: Cluster) -> Cluster:
        """Keep a host in its cluster while VMs of that cluster may run on it."""
        row = self.instance
        if isinstance(row, Host) and row.cluster_id != value.pk:
            open_here = row.runs.filter(ended_at__isnull=True)
            if open_here.exists():
                text = "VMs run on this host: empty it first, then move it to another cluster"
                raise serializers.ValidationError(text)
        return value
