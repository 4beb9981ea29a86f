"""The policy in force as JSON, and clusters and hosts with it."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fencing.api.shown import ShownClusterSerializer, ShownHostSerializer
from fencing.domain.policy import traced
from fencing.models import HaScope
from fencing.selectors import global_policy
from fencing.services.ha_switches import scope_of
from hosts.models import Cluster, Host


class EffectiveSerializer(serializers.Serializer[Any]):
    """A setting in force: its value, and the layer that says so."""

    value = serializers.JSONField()
    layer = serializers.ChoiceField(choices=["default", "global", "cluster", "host"])


def effective(layers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return every setting in force as JSON; ``layers`` from the outermost inwards."""
    return {name: dict(found) for name, found in traced(layers).items()}


class ClusterHaSerializer(serializers.ModelSerializer[HaScope]):
    """The cluster's switch of HA, and its thresholds for everything but hosts."""

    thresholds = serializers.DictField(child=serializers.FloatField())

    class Meta:
        model = HaScope
        fields = ("enabled", "thresholds")


class WholeClusterSerializer(ShownClusterSerializer):
    """A cluster with the policy in force for it."""

    effective_policy = serializers.SerializerMethodField()
    ha = serializers.SerializerMethodField()

    class Meta(ShownClusterSerializer.Meta):
        ref_name = "WholeCluster"
        fields = (*ShownClusterSerializer.Meta.fields, "effective_policy", "ha")

    @extend_schema_field(ClusterHaSerializer)
    def get_ha(self, cluster: Cluster) -> dict[str, Any]:
        """Return the switch and the thresholds."""
        return dict(ClusterHaSerializer(scope_of(cluster.pk)).data)

    @extend_schema_field(serializers.DictField(child=EffectiveSerializer()))
    def get_effective_policy(self, cluster: Cluster) -> dict[str, Any]:
        """Return every setting with its value and the layer that it comes from."""
        return effective({"global": global_policy(), "cluster": cluster.policy})


class WholeHostSerializer(ShownHostSerializer):
    """A host with the policy in force for it."""

    effective_policy = serializers.SerializerMethodField()

    class Meta(ShownHostSerializer.Meta):
        ref_name = "WholeHost"
        fields = (*ShownHostSerializer.Meta.fields, "effective_policy")

    @extend_schema_field(serializers.DictField(child=EffectiveSerializer()))
    def get_effective_policy(self, host: Host) -> dict[str, Any]:
        """Return every setting with its value and the layer that it comes from."""
        layers = {"cluster": host.cluster.policy, "host": host.policy}
        return effective({"global": global_policy()} | layers)
