"""Engines over REST: which portal nodes live, and which of them holds what."""

from collections import Counter
from datetime import timedelta
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers

from hosts.models import Engine, EngineLease, Host
from hosts.services import engines
from portal.core.filtering import Filters
from portal.core.rest import Resource
from portal.lib import clock
from portal.lib.ha.owners import DEAD, is_deaf


class LeaseSerializer(serializers.ModelSerializer[EngineLease]):
    """A right that one process of an engine holds for some seconds."""

    class Meta:
        model = EngineLease
        fields = ("name", "holder", "epoch", "expires_at")


class EngineSerializer(serializers.ModelSerializer[Engine]):
    """One portal node: whether it lives, and whether it leads."""

    beat_age_s = serializers.SerializerMethodField(help_text="Since it last said that it lives.")
    alive = serializers.SerializerMethodField()
    leader = serializers.SerializerMethodField(help_text="Holds the lease “beat”: it sweeps.")
    leases = serializers.SerializerMethodField()
    hosts_owned = serializers.SerializerMethodField(help_text="Hosts that it looks at.")
    deaf = serializers.SerializerMethodField(
        help_text="Hosts answer other engines and not this one: it is given no work."
    )

    class Meta:
        model = Engine
        fields: ClassVar[Any] = (
            "id",
            "name",
            "epoch",
            "started_at",
            "beat_at",
            "beat_age_s",
            "alive",
            "leader",
            "leases",
            "hosts_owned",
            "deaf",
        )

    def _held(self, engine: Engine) -> list[EngineLease]:
        rows = self.context.get("leases", ())
        return [row for row in rows if engines.is_held_by(row, engine.name)]

    def get_beat_age_s(self, engine: Engine) -> float:
        """Return the seconds since its last beat."""
        age: timedelta = self.context["now"] - engine.beat_at
        return round(age.total_seconds(), 3)

    def get_alive(self, engine: Engine) -> bool:
        """Whether it has said so of late."""
        return bool(self.context["now"] - engine.beat_at <= DEAD)

    def get_leader(self, engine: Engine) -> bool:
        """Whether it is the one that sweeps."""
        return any(row.name == engines.BEAT for row in self._held(engine))

    def get_hosts_owned(self, engine: Engine) -> int:
        """Return how many hosts are its own."""
        return int(self.context["owned"].get(engine.name, 0))

    def get_deaf(self, engine: Engine) -> bool:
        """Whether it is cut off from the hosts."""
        return is_deaf(engine.deaf_since, self.context["now"])

    @extend_schema_field(LeaseSerializer(many=True))
    def get_leases(self, engine: Engine) -> list[dict[str, Any]]:
        """Return what it holds now."""
        return [dict(LeaseSerializer(row).data) for row in self._held(engine)]


class EngineFilter(Filters):
    """``?name=engine1``."""

    class Meta:
        model = Engine
        fields: ClassVar = {"name": ["exact"]}


@extend_schema(tags=["engines"])
class EngineViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, Resource):
    """Engines: the portal's nodes."""

    queryset = Engine.objects.order_by("name")
    serializer_class = EngineSerializer
    filterset_class = EngineFilter
    search_fields = ("name",)
    ordering_fields = ("name", "beat_at", "started_at")

    def get_serializer_context(self) -> dict[str, Any]:
        """Read the leases and the time once for all rows."""
        now = clock.now()
        leases = list(EngineLease.objects.filter(expires_at__gte=now).order_by("name"))
        owned = Counter(Host.objects.values_list("owner", flat=True))
        shared = {"leases": leases, "now": now, "owned": owned}
        return {**super().get_serializer_context(), **shared}
