"""Clusters, hosts and VMs with what only this app can do to them."""

from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.api.entering import EnteringHosts
from fencing.api.insight import WhatIfSerializer, what_if_of
from fencing.api.refused import allowed
from fencing.api.shapes import WholeClusterSerializer, WholeHostSerializer
from fencing.api.shown import ShownClusterSerializer, ShownHostSerializer
from fencing.domain.departing import Departure
from fencing.models import PowerController
from fencing.selectors import ended_drills, with_shelter
from fencing.serializers import (
    ConfirmSerializer,
    FenceSerializer,
    ProtectedVmEditSerializer,
    ProtectedVmSerializer,
    StartSerializer,
)
from fencing.serializers.ha import ConfigureClusterHaSerializer
from fencing.services import (
    admission,
    confirmations,
    departures,
    drills,
    ha_switches,
    inventory,
    migrations,
    power,
    removing,
    restored,
    starts,
)
from hosts.api import ClusterViewSet as PlainClusterViewSet
from hosts.api import in_use
from hosts.domain.states import Wanted
from hosts.models import Cluster, Host
from hosts.serializers import RemovalSerializer
from portal.core import problems
from portal.core.models import Operation, Role
from portal.core.permissions import scopes_of
from portal.core.problems import Problem
from portal.core.rest import Removable, accepted, caller, etag_of, require, verb
from portal.lib import clock
from vms.api import VmViewSet as PlainVmViewSet
from vms.models import Vm
from vms.services.inventory import NotNow
from vms.services.removing import removal_of_vm

#: What answers with the policy in force as well.
WHOLE = ("retrieve", "partial_update")


@extend_schema(tags=["clusters"])
class ClusterViewSet(PlainClusterViewSet):
    """Clusters: hosts that share policy and storage."""

    queryset = Cluster.objects.select_related("capacity").order_by("name")
    serializer_class = ShownClusterSerializer

    def get_serializer_class(self) -> type[Any]:
        """Return the whole form where one cluster is read or changed."""
        whole = (*WHOLE, "enable_ha", "disable_ha", "configure_ha", "accept_database")
        return WholeClusterSerializer if self.action in whole else ShownClusterSerializer

    def _ha(self, cluster: Cluster) -> Response:
        return Response(self.get_serializer(cluster).data, headers={"ETag": etag_of(cluster)})

    @verb("enable-ha", role=Role.ADMIN, answers_itself=True)
    def enable_ha(self, cluster: Cluster, fields: dict[str, Any], request: Request) -> Response:
        """Let HA look after the cluster's hosts and everything else in it.  Answers 200."""
        ha_switches.set_scope(cluster, on=True, actor=str(caller(request)), now=clock.now())
        return self._ha(cluster)

    @verb("disable-ha", role=Role.ADMIN, answers_itself=True)
    def disable_ha(self, cluster: Cluster, fields: dict[str, Any], request: Request) -> Response:
        """Let HA leave the whole cluster alone: nothing is fenced or judged.  Answers 200."""
        ha_switches.set_scope(cluster, on=False, actor=str(caller(request)), now=clock.now())
        return self._ha(cluster)

    @verb("accept-database", role=Role.ADMIN, answers_itself=True)
    def accept_database(
        self, cluster: Cluster, fields: dict[str, Any], request: Request
    ) -> Response:
        """Go by what the hosts show, after the database was restored.  Answers 200."""
        with allowed():
            restored.accept(cluster, actor=str(caller(request)), now=clock.now())
        return self._ha(cluster)

    @verb("configure-ha", takes=ConfigureClusterHaSerializer, role=Role.ADMIN, answers_itself=True)
    def configure_ha(self, cluster: Cluster, fields: dict[str, Any], request: Request) -> Response:
        """Replace the thresholds of what HA looks after here besides hosts.  Answers 200."""
        actor = str(caller(request))
        ha_switches.configure_scope(cluster, fields, actor=actor, now=clock.now())
        return self._ha(cluster)


@extend_schema(tags=["hosts"])
class HostViewSet(EnteringHosts):
    """Hosts: what is observed of them, what HA does about them, what is wanted of them."""

    queryset = (
        Host.objects.select_related("cluster", "ha")
        .prefetch_related(
            Prefetch("controllers", PowerController.objects.defer("password")),
            Prefetch("fences", ended_drills()[:1], to_attr="ended_drills"),
        )
        .order_by("name")
    )
    serializer_class = ShownHostSerializer

    def get_serializer_class(self) -> type[Any]:
        """Return the whole form where one host is read or changed, a wider one where entered."""
        if self.action == "create":
            return super().get_serializer_class()
        return WholeHostSerializer if self.action in WHOLE else ShownHostSerializer

    def remove(self, row: Host, *, actor: str, now: datetime) -> Operation | None:
        """Remove a host on which nothing runs; its history stays."""
        with in_use():
            return removing.remove_host(row, actor=actor, now=now)

    @extend_schema(responses=RemovalSerializer, filters=False)
    @action(detail=True, methods=["get"], role=Role.ADMIN)
    def removal(self, request: Request, pk: str = "") -> Response:
        """Tell what removing the host would clean, and what stays behind."""
        return Response(RemovalSerializer(removing.removal_of_host(self.get_object())).data)

    def _want(self, host: Host, wanted: Wanted, request: Request) -> Response:
        """Take the wish down, unless a fire drill has the host."""
        actor = str(caller(request))
        with allowed():
            return accepted(drills.want_host(host, wanted, actor=actor, now=clock.now()), request)

    @extend_schema(responses=WhatIfSerializer, filters=False)
    @action(detail=True, methods=["get"], url_path="what-if", role=Role.VIEWER)
    def what_if(self, request: Request, pk: str = "") -> Response:
        """Tell what would become of the host and its VMs if it died now."""
        scopes = scopes_of(request.user, Role.VIEWER, request.auth)
        return Response(what_if_of(self.get_object(), scopes, clock.now()))

    @verb("fire-drill", role=Role.ADMIN)
    def fire_drill(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Fence a host in maintenance for real, switch it on, and wait until it is back."""
        with allowed():
            op = drills.ask(host, actor=str(caller(request)), now=clock.now())
        return accepted(op, request)

    def _depart(self, host: Host, what: Departure, request: Request) -> Response:
        with allowed():
            op = departures.ask(host, what, actor=str(caller(request)), now=clock.now())
        return accepted(op, request)

    @verb("shutdown")
    def shutdown(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Shut its VMs down, then the host; what becomes of the VMs is policy (shutdown_policy)."""
        return self._depart(host, Departure.SHUTDOWN, request)

    @verb("reboot")
    def reboot(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Shut its VMs down, then the host, and switch it on again."""
        return self._depart(host, Departure.REBOOT, request)

    @verb("enable-ha", role=Role.ADMIN)
    def enable_ha(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Let HA look after the host."""
        op = inventory.set_ha(host, on=True, actor=str(caller(request)), now=clock.now())
        return accepted(op, request)

    @verb("disable-ha", role=Role.ADMIN)
    def disable_ha(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Let HA leave the host alone: it is neither fenced nor judged."""
        op = inventory.set_ha(host, on=False, actor=str(caller(request)), now=clock.now())
        return accepted(op, request)

    @verb("fence", takes=FenceSerializer)
    def fence(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Ask the BMC (status), fence the host (off), or switch it on (on)."""
        actor = str(caller(request))
        with allowed():
            op = inventory.switch_power(host, fields["action"], actor=actor, now=clock.now())
        return accepted(op, request)

    @verb("confirm-rebooted", takes=ConfirmSerializer)
    def confirm_rebooted(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Take a person's word that the host is off or was rebooted; it is weighed, then used."""
        typed, reason = fields["host_name"], fields["reason"]
        wrong = confirmations.wrong_with(host, typed_name=typed, reason=reason)
        if wrong is not None:
            cure = "Correct it, or wait: the portal asks for you when your word is needed."
            raise Problem(422, "not_confirmable", wrong.text, cure=cure, field=wrong.field)
        if fields["override"]:
            require(request, Role.ADMIN, host=host.pk, cluster=host.cluster_id)
        op = confirmations.request(
            host,
            caller(request),
            typed_name=typed,
            reason=reason,
            override=fields["override"],
            now=clock.now(),
        )
        return accepted(op, request)


@extend_schema(tags=["vms"])
class VmViewSet(Removable, PlainVmViewSet):
    """VMs: what is wanted of them, where they run, and whether HA protects them."""

    serializer_class = ProtectedVmSerializer
    queryset = with_shelter(Vm.objects.order_by("name"))

    def get_serializer_class(self) -> type[Any]:
        """Return the narrower form where a living VM is changed."""
        changes = self.action == "partial_update"
        return ProtectedVmEditSerializer if changes else ProtectedVmSerializer

    def write(self, row: Vm, changes: dict[str, Any]) -> None:
        """Write checked changes; HA is switched on as admission control allows."""
        actor = str(caller(self.request))
        try:
            admission.edit_vm(row, changes, actor=actor, now=clock.now())
        except NotNow as error:
            text = _as_seen(error, row, self.request)
            raise Problem(409, "not_now", text, cure=error.cure) from None

    def remove(self, row: Vm, *, actor: str, now: datetime) -> Operation | None:
        """Remove a VM that does not run; its history and its disks stay."""
        with in_use():
            return removing.remove_vm(row, actor=actor, now=now)

    @extend_schema(responses=RemovalSerializer, filters=False)
    @action(detail=True, methods=["get"], role=Role.ADMIN)
    def removal(self, request: Request, pk: str = "") -> Response:
        """Tell what removing the VM would clean, and what stays behind."""
        return Response(RemovalSerializer(removal_of_vm(self.get_object())).data)

    @verb("start", takes=StartSerializer)
    def start(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Want the VM up and start it, on the host named or on the best one."""
        actor, now = str(caller(request)), clock.now()
        try:
            return accepted(starts.start_vm(vm, fields["host"], actor=actor, now=now), request)
        except starts.Held as error:
            for host_id in error.stale:
                power.ask("check", host_id, now=now, why=f"{actor} wants to start {vm.name}")
            told = problems.body(409, "held", str(error), cure=error.cure)
            return Response(told, status=409, content_type=problems.MEDIA_TYPE)
        except NotNow as error:
            raise Problem(409, "not_now", _as_seen(error, vm, request), cure=error.cure) from None

    @verb("migrate", takes=StartSerializer)
    def migrate(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Move the VM while it runs, to the host named or to the best one."""
        actor, now = str(caller(request)), clock.now()
        try:
            op = migrations.migrate_vm(vm, fields["host"], actor=actor, now=now)
        except NotNow as error:
            raise Problem(409, "not_now", _as_seen(error, vm, request), cure=error.cure) from None
        return accepted(op, request)


def _as_seen(error: NotNow, vm: Vm, request: Request) -> str:
    """Return a refusal's text; whoever sees only this VM is told of no other by it."""
    scopes = scopes_of(request.user, Role.VIEWER, request.auth)
    whole = scopes.everything or vm.cluster_id in scopes.clusters
    return str(error) if whole else getattr(error, "plain", str(error))
