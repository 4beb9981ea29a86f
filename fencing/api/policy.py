"""The policy over REST: what each setting means, and the layer that holds for every cluster."""

from typing import Any

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.api.shapes import EffectiveSerializer, effective
from fencing.domain import policy as settings_of
from fencing.serializers import checked_policy
from fencing.services import policy
from portal.core.edits import Stale
from portal.core.models import Role, Setting
from portal.core.rest import MATCH, Door, Strict, caller, etag_of, matches, stale
from portal.lib import clock


class DescribedSerializer(serializers.Serializer[Any]):
    """One setting: what it means, and which values it takes."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["number", "whole_number", "choice", "addresses"])
    unit = serializers.CharField(allow_blank=True)
    default = serializers.JSONField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField())
    help = serializers.CharField()


class GlobalPolicySerializer(Strict):
    """The overrides that hold for every cluster and host that has none of its own."""

    policy = serializers.DictField()
    effective_policy = serializers.DictField(child=EffectiveSerializer(), read_only=True)
    version = serializers.IntegerField(read_only=True)

    def validate_policy(self, value: dict[str, Any]) -> dict[str, Any]:
        """Check every override against its range."""
        return checked_policy(value)


def _shown(row: Setting) -> dict[str, Any]:
    return {
        "policy": row.value,
        "effective_policy": effective({"global": row.value}),
        "version": row.version,
    }


class PolicyView(Door):
    """What each setting of the policy means; the editor is made from this."""

    role = Role.VIEWER

    @extend_schema(
        tags=["policy"],
        operation_id="policy_retrieve",
        responses=inline_serializer(
            "Policy",
            {"settings": DescribedSerializer(many=True), "layers": serializers.ListField()},
        ),
    )
    def get(self, request: Request) -> Response:
        """Return every setting with unit, default, range and meaning, and the layers in order."""
        layers = ["default", "global", "cluster", "host"]
        return Response({"settings": settings_of.describe(), "layers": layers})


class GlobalPolicyView(Door):
    """The policy of everything: defaults < **global** < cluster < host."""

    @property
    def everywhere(self) -> bool:
        """Anybody may read it; to change it is to change every cluster."""
        return self.request.method == "PATCH"

    @extend_schema(
        tags=["settings"], operation_id="settings_policy_retrieve", responses=GlobalPolicySerializer
    )
    def get(self, request: Request) -> Response:
        """Return the overrides for every cluster, and its ETag."""
        row = policy.read()
        return Response(_shown(row), headers={"ETag": etag_of(row)})

    @extend_schema(
        tags=["settings"],
        operation_id="settings_policy_partial_update",
        request=GlobalPolicySerializer,
        responses=GlobalPolicySerializer,
        parameters=[MATCH],
    )
    def patch(self, request: Request) -> Response:
        """Replace the overrides for every cluster, unless somebody has changed them meanwhile."""
        row = policy.read()
        if not matches(request, etag_of(row)):
            raise stale(_shown(row), etag_of(row))
        form = GlobalPolicySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        changes = form.validated_data["policy"]
        try:
            row = policy.change(row, changes, actor=str(caller(request)), now=clock.now())
        except Stale:
            row = policy.read()
            raise stale(_shown(row), etag_of(row)) from None
        return Response(_shown(row), headers={"ETag": etag_of(row)})
