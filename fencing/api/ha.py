"""What HA looks after, by which providers, and how patiently: over REST."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.api.refused import allowed
from fencing.filters import HaResourceFilter
from fencing.models import HaResource
from fencing.operations.resources import QUEUES
from fencing.permissions import resources_in
from fencing.serializers.ha import (
    ConfigureAllHaSerializer,
    ConfigureHaSerializer,
    DeclareSerializer,
    EnterHaResourceSerializer,
    HaProviderSerializer,
    HaResourceSerializer,
    HaScopeSerializer,
    TransitionSerializer,
    WholeHaResourceSerializer,
    checked_options,
    checked_provider,
)
from fencing.services import ha_resources, ha_switches
from portal.core.filtering import refuse_unknown
from portal.core.idempotency import once
from portal.core.models import Role
from portal.core.pagination import Pages
from portal.core.rest import KEY, Creatable, Door, Nothing, caller, require, verb
from portal.lib import clock, ha_registry
from portal.lib.ha import thresholds

Fields = dict[str, Any]


@extend_schema(tags=["ha-resources"])
class HaResourceViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, Creatable
):
    """HA resources: hosts, and whatever else a provider knows."""

    queryset = (
        HaResource.objects.filter(cluster__removed_at__isnull=True)
        .select_related("host", "vm", "cluster")
        .defer("vm__xml")
        .order_by("kind", "pk")
    )
    serializer_class = HaResourceSerializer
    filterset_class = HaResourceFilter
    search_fields = ("key", "host__name", "vm__name")
    ordering_fields = ("kind", "key", "state", "since", "due_at", "provider")
    rows: ClassVar[Any] = resources_in

    def get_serializer_class(self) -> type[Any]:
        """Return the whole form where one resource is read."""
        if self.action == "create":
            return EnterHaResourceSerializer
        return HaResourceSerializer if self.action == "list" else WholeHaResourceSerializer

    @extend_schema(responses={201: WholeHaResourceSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Have HA know something new; it is entered switched off."""
        return super().create(request, *args, **kwargs)

    def perform_create(self, serializer: Any) -> None:
        """Enter it in a cluster that the caller administrates."""
        fields = serializer.validated_data
        vm, cluster = fields.get("vm"), fields.get("cluster")
        where = vm.cluster_id if vm else cluster.pk
        require(self.request, Role.ADMIN, cluster=where, **({"vm": vm.pk} if vm else {}))
        actor = str(caller(self.request))
        with allowed():
            serializer.instance = ha_resources.add(fields, actor=actor, now=clock.now())

    def perform_destroy(self, instance: HaResource) -> None:
        """Have HA forget it."""
        with allowed():
            ha_resources.remove(instance, actor=str(caller(self.request)), now=clock.now())

    def _shown(self, row: HaResource) -> Response:
        return Response(self.get_serializer(self.get_queryset().get(pk=row.pk)).data)

    @extend_schema(responses=TransitionSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], role=Role.VIEWER)
    def transitions(self, request: Request, pk: str = "") -> Response:
        """List the last changes of its HA state, the newest first."""
        refuse_unknown(request, Pages.parameters)
        page = self.paginate_queryset(self.get_object().transitions.all())
        return self.get_paginated_response(TransitionSerializer(page, many=True).data)

    @verb("enable", role=Role.ADMIN, answers_itself=True)
    def enable(self, row: HaResource, fields: Fields, request: Request) -> Response:
        """Let HA look after it.  Over at once: answers 200."""
        with allowed():
            ha_resources.switch(row, on=True, actor=str(caller(request)), now=clock.now())
        return self._shown(row)

    @verb("disable", role=Role.ADMIN, answers_itself=True)
    def disable(self, row: HaResource, fields: Fields, request: Request) -> Response:
        """Let HA leave it alone.  Over at once: answers 200."""
        with allowed():
            ha_resources.switch(row, on=False, actor=str(caller(request)), now=clock.now())
        return self._shown(row)

    @verb("configure", takes=ConfigureHaSerializer, role=Role.ADMIN, answers_itself=True)
    def configure(self, row: HaResource, fields: Fields, request: Request) -> Response:
        """Change provider, options or thresholds.  Over at once: answers 200."""
        if row.host_id is None:
            provider = fields.get("provider", row.provider)
            if "provider" in fields:
                checked_provider(provider, row.kind)
            if "options" in fields or "provider" in fields:
                fields["options"] = checked_options(provider, fields.get("options", {}))
        with allowed():
            ha_resources.configure(row, fields, actor=str(caller(request)), now=clock.now())
        return self._shown(row)

    @verb("declare-degraded", takes=DeclareSerializer, answers_itself=True)
    def declare_degraded(self, row: HaResource, fields: Fields, request: Request) -> Response:
        """Vouch that it serves, although it cannot be managed.  Over at once: answers 200."""
        actor, reason = str(caller(request)), fields["reason"]
        with allowed():
            ha_resources.declare_degraded(row, reason, actor=actor, now=clock.now())
        return self._shown(row)

    @verb("cancel-degraded", answers_itself=True)
    def cancel_degraded(self, row: HaResource, fields: Fields, request: Request) -> Response:
        """Have it judged again.  Over at once: answers 200."""
        with allowed():
            ha_resources.cancel_degraded(row, actor=str(caller(request)), now=clock.now())
        return self._shown(row)


class HaProvidersView(Door):
    """Which providers this installation has, and what can be set about them."""

    role = Role.VIEWER

    @extend_schema(
        tags=["ha-providers"],
        operation_id="ha_providers_retrieve",
        responses=inline_serializer(
            "HaProviders",
            {
                "providers": HaProviderSerializer(many=True),
                "thresholds": serializers.ListField(child=serializers.DictField()),
                "queues": serializers.DictField(),
            },
        ),
    )
    def get(self, request: Request) -> Response:
        """Return every provider, the thresholds with their ranges, and the queues' defaults."""
        rows = [
            {
                "name": entry.name,
                "origin": entry.source,
                "kinds": list(entry.kinds),
                "capabilities": sorted(entry.capabilities),
                "options": entry.options,
                "usable": entry.provider is not None,
                "why_not": entry.why_not,
            }
            for entry in ha_registry.known().values()
        ]
        told = HaProviderSerializer(rows, many=True).data
        queues = {str(work): list(bounds) for work, bounds in QUEUES.items()}
        return Response({"providers": told, "thresholds": thresholds.describe(), "queues": queues})


def _shown_scope() -> Response:
    row = ha_switches.scope_of(ha_switches.EVERYTHING)
    row.clusters_off = sorted(ha_switches.off_scopes() - {0})  # type: ignore[attr-defined]  # shown beside it
    return Response(HaScopeSerializer(row).data)


class HaScopeView(Door):
    """Whether HA is on for everything."""

    role = Role.VIEWER

    @extend_schema(
        tags=["settings"], operation_id="settings_ha_retrieve", responses=HaScopeSerializer
    )
    def get(self, request: Request) -> Response:
        """Return the switch, thresholds and queues of everything, and the clusters without HA."""
        return _shown_scope()


class _ForEverything(Door):
    """A POST that changes what holds for every cluster."""

    everywhere = True
    role = Role.ADMIN


class EnableHaView(_ForEverything):
    """HA on for everything whose own and whose cluster's switch are on."""

    @extend_schema(
        tags=["settings"],
        operation_id="settings_ha_enable",
        request=Nothing,
        responses=HaScopeSerializer,
        parameters=[KEY],
    )
    def post(self, request: Request) -> Response:
        """Let HA look after everything.  Over at once: answers 200."""
        return _switched(request, on=True)


class DisableHaView(_ForEverything):
    """HA off for everything."""

    @extend_schema(
        tags=["settings"],
        operation_id="settings_ha_disable",
        request=Nothing,
        responses=HaScopeSerializer,
        parameters=[KEY],
    )
    def post(self, request: Request) -> Response:
        """Let HA leave everything alone: nothing is fenced or recovered.  Answers 200."""
        return _switched(request, on=False)


def _switched(request: Request, *, on: bool) -> Response:
    Nothing(data=request.data).is_valid(raise_exception=True)
    actor = str(caller(request))

    def work() -> Response:
        ha_switches.set_scope(None, on=on, actor=actor, now=clock.now())
        return _shown_scope()

    return once(request, caller(request), work)


class ConfigureHaView(_ForEverything):
    """Thresholds of everything, and the bounds of the queues."""

    @extend_schema(
        tags=["settings"],
        operation_id="settings_ha_configure",
        request=ConfigureAllHaSerializer,
        responses=HaScopeSerializer,
        parameters=[KEY],
    )
    def post(self, request: Request) -> Response:
        """Replace them; queues that are left out stay as they are.  Answers 200."""
        form = ConfigureAllHaSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        actor = str(caller(request))

        def work() -> Response:
            ha_switches.configure_scope(None, form.validated_data, actor=actor, now=clock.now())
            return _shown_scope()

        return once(request, caller(request), work)
