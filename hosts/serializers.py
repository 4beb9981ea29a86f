"""Clusters and hosts as JSON; what is observed is read-only."""

from typing import Any, ClassVar

from django.conf import settings
from rest_framework import serializers

from hosts.domain.uri import BadHostUri, parse_uri
from hosts.models import Cluster, Host
from portal.core.rest import Strict


class ClusterSerializer(Strict, serializers.ModelSerializer[Cluster]):
    """A cluster: its mode, and its own overrides of the policy."""

    policy = serializers.DictField(required=False)

    class Meta:
        model = Cluster
        fields = ("id", "name", "mode", "policy", "version")
        read_only_fields = ("mode", "version")


class CpuSerializer(serializers.Serializer[Any]):
    """The processor that libvirt reports."""

    arch = serializers.CharField(source="cpu_arch")
    model = serializers.CharField(source="cpu_model")


class HostSerializer(Strict, serializers.ModelSerializer[Host]):
    """A host: how it is reached, what was last seen of it, what is wanted of it."""

    cpu = CpuSerializer(source="*", read_only=True)
    policy = serializers.DictField(required=False)

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
            "kernel",
            "host_uuid",
            "hostname",
            "memory_mib",
            "vcpus",
            "cpu",
            "uptime_s",
            "ineligible",
            "is_self",
            "version",
        )
        read_only_fields: ClassVar[Any] = tuple(
            name for name in fields if name not in ("name", "uri", "cluster", "policy", "is_self")
        )

    def validate_uri(self, value: str) -> str:
        """Let nothing reach libvirt but a scheme, a host and a port."""
        try:
            return parse_uri(value, schemes=settings.HYPERVISORS.keys())
        except BadHostUri as error:
            raise serializers.ValidationError(str(error)) from None

    def validate_cluster(self, value: Cluster) -> Cluster:
        """Keep a host in its cluster while VMs of that cluster may run on it."""
        row = self.instance
        if isinstance(row, Host) and row.cluster_id != value.pk:
            open_here = row.runs.filter(ended_at__isnull=True)
            if open_here.exists():
                text = "VMs run on this host: empty it first, then move it to another cluster"
                raise serializers.ValidationError(text)
        return value
