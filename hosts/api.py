"""Clusters and hosts over REST: what needs nothing but this app (fencing adds the rest)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar

from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from hosts.domain.states import Wanted
from hosts.filters import ClusterFilter, HostFilter
from hosts.models import Cluster, ClusterMode, Host
from hosts.permissions import clusters_in, hosts_in
from hosts.serializers import ClusterSerializer, HostSerializer, ObserveSerializer
from hosts.services import inventory
from portal.core.models import Role
from portal.core.problems import Problem
from portal.core.rest import (
    Creatable,
    Editable,
    Removable,
    accepted,
    caller,
    etag_of,
    require,
    verb,
)
from portal.lib import clock


@contextmanager
def in_use() -> Iterator[None]:
    """Turn :class:`InUse` into a problem: 409, nothing was changed."""
    try:
        yield
    except inventory.InUse as error:
        raise Problem(409, "in_use", str(error), cure=error.cure) from None


class Kept(mixins.ListModelMixin, Creatable, Removable, Editable):
    """What clusters and hosts share: entered by hand, removed only when empty."""

    def write(self, row: Any, changes: dict[str, Any]) -> None:
        """Write checked changes and say who made them."""
        inventory.edit(row, changes, actor=str(caller(self.request)), now=clock.now())


class ClusterViewSet(Kept):
    """Clusters: hosts that share policy and storage."""

    queryset = Cluster.objects.order_by("name")
    serializer_class = ClusterSerializer
    filterset_class = ClusterFilter
    search_fields = ("name",)
    ordering_fields = ("name", "mode")
    rows = clusters_in
    live_kind = "cluster"

    def remove(self, row: Cluster, *, actor: str, now: datetime) -> None:
        """Remove a cluster without hosts and VMs."""
        with in_use():
            inventory.remove_cluster(row, actor=actor, now=now)

    def perform_create(self, serializer: Any) -> None:
        """Enter a cluster: needs a role over everything."""
        require(self.request, Role.ADMIN)
        actor, now = str(caller(self.request)), clock.now()
        serializer.instance = inventory.add_cluster(serializer.validated_data, actor=actor, now=now)

    def _set(
        self,
        cluster: Cluster,
        mode: ClusterMode,
        request: Request,
        until: datetime | None = None,
    ) -> Response:
        actor = str(caller(request))
        inventory.set_mode(cluster, mode, actor=actor, now=clock.now(), until=until)
        cluster.refresh_from_db()
        return Response(self.get_serializer(cluster).data, headers={"ETag": etag_of(cluster)})

    @verb("arm", role=Role.ADMIN, answers_itself=True)
    def arm(self, cluster: Cluster, fields: dict[str, Any], request: Request) -> Response:
        """Let HA act in this cluster: fence, restart, power on.  Over at once: answers 200."""
        return self._set(cluster, ClusterMode.ARMED, request)

    @verb("observe", takes=ObserveSerializer, role=Role.ADMIN, answers_itself=True)
    def observe(self, cluster: Cluster, fields: dict[str, Any], request: Request) -> Response:
        """Let HA only say what it would do, perhaps until a time.  Over at once: answers 200."""
        return self._set(cluster, ClusterMode.OBSERVE, request, fields["until"])


class HostViewSet(Kept):
    """Hosts: what is observed of them, and what is wanted of them."""

    queryset = Host.objects.select_related("cluster").order_by("name")
    serializer_class = HostSerializer
    filterset_class = HostFilter
    search_fields = ("name", "uri", "hostname")
    ordering_fields = ("name", "status", "status_since", "last_seen", "memory_mib")
    rows: ClassVar[Any] = hosts_in
    live_kind = "host"

    @verb("activate")
    def activate(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Want the host to run VMs again."""
        return self._want(host, Wanted.ACTIVE, request)

    @verb("maintenance")
    def maintenance(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Want the host empty and left alone; the wish survives silence and reboots."""
        return self._want(host, Wanted.MAINTENANCE, request)

    def _want(self, host: Host, wanted: Wanted, request: Request) -> Response:
        actor = str(caller(request))
        op = inventory.want_host(host, wanted, actor=actor, now=clock.now())
        return accepted(op, request)

    @verb("probe")
    def probe(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Look at the host now."""
        op = inventory.probe(host, actor=str(caller(request)), now=clock.now())
        return accepted(op, request)
