"""Clusters and hosts as they are shown: with what each can lose, and its last fire drill."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fencing.domain.capacity import all_in_words
from fencing.models import ClusterCapacity, FenceOperation
from fencing.serializers import PolicyClusterSerializer, ProtectedHostSerializer
from hosts.models import Host
from portal.core.shapes import slug_of


class AmountSerializer(serializers.Serializer[Any]):
    """How much there is on the hosts that may take VMs; ``free`` counts the overcommit."""

    total = serializers.IntegerField()
    used = serializers.IntegerField()
    free = serializers.IntegerField()


class UnplacedSerializer(serializers.Serializer[Any]):
    """A host whose loss would leave HA VMs down, and the first of them."""

    host = serializers.CharField()
    host_id = serializers.IntegerField()
    vms = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField()


class ReservationSerializer(serializers.ModelSerializer[ClusterCapacity]):
    """What the loss of any one host would mean, worked out every 30 s or so.

    ``ok`` is null when the cluster is so large that not every host could be looked at.
    """

    unplaced = UnplacedSerializer(many=True)
    text = serializers.SerializerMethodField()
    memory_mib = serializers.SerializerMethodField()
    vcpus = serializers.SerializerMethodField()

    class Meta:
        model = ClusterCapacity
        fields: ClassVar[Any] = (
            "ok",
            "text",
            "unplaced",
            "unplaced_hosts",
            "hosts_checked",
            "memory_mib",
            "vcpus",
            "checked_at",
        )

    def get_text(self, row: ClusterCapacity) -> list[str]:
        """Return it in plain words, a sentence for each host."""
        found = [(item["host"], item["vms"], item["count"]) for item in row.unplaced]
        return all_in_words(found, row.ok)

    @extend_schema_field(AmountSerializer)
    def get_memory_mib(self, row: ClusterCapacity) -> dict[str, int]:
        """Return the memory of the hosts that may take VMs."""
        return _amount(row.memory_total_mib, row.memory_used_mib, row.memory_free_mib)

    @extend_schema_field(AmountSerializer)
    def get_vcpus(self, row: ClusterCapacity) -> dict[str, int]:
        """Return the vcpus of the hosts that may take VMs."""
        return _amount(row.vcpus_total, row.vcpus_used, row.vcpus_free)


def _amount(total: int, used: int, free: int) -> dict[str, int]:
    return {"total": total, "used": used, "free": free}


class ShownClusterSerializer(PolicyClusterSerializer):
    """A cluster, and what it can lose; null until that was first worked out."""

    ha_reservation = ReservationSerializer(
        source="capacity", read_only=True, allow_null=True, default=None
    )

    class Meta(PolicyClusterSerializer.Meta):
        fields: ClassVar[Any] = (*PolicyClusterSerializer.Meta.fields, "ha_reservation")


class DrillStepSerializer(serializers.Serializer[Any]):
    """One step of a fire drill, and how long it took."""

    name = serializers.CharField()
    seconds = serializers.FloatField()


class DrillSerializer(serializers.Serializer[Any]):
    """How a fire drill ended."""

    operation = serializers.CharField()
    at = serializers.DateTimeField()
    passed = serializers.BooleanField()
    seconds = serializers.FloatField()
    steps = DrillStepSerializer(many=True)
    text = serializers.CharField(allow_blank=True)
    cure = serializers.CharField(allow_blank=True)


def as_drill(op: FenceOperation) -> dict[str, Any]:
    """Return the JSON of a fire drill that has ended."""
    told = {"operation": slug_of(op), "at": op.ended_at, **op.data["result"]}
    return dict(DrillSerializer(told | {"text": op.error_text, "cure": op.error_cure}).data)


class ShownHostSerializer(ProtectedHostSerializer):
    """A host with its HA state, what its BMCs say, and its last fire drill."""

    last_drill = serializers.SerializerMethodField()

    class Meta(ProtectedHostSerializer.Meta):
        fields: ClassVar[Any] = (*ProtectedHostSerializer.Meta.fields, "last_drill")
        ref_name = "Host"

    @extend_schema_field(DrillSerializer(allow_null=True))
    def get_last_drill(self, host: Host) -> dict[str, Any] | None:
        """Return the fire drill that ended last; null: there was none."""
        return next(map(as_drill, getattr(host, "ended_drills", ())), None)
