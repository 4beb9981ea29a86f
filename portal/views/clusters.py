"""Clusters: their list."""

from typing import Any

from django.db.models import Count, Q, QuerySet

from hosts.domain.states import HostStatus
from hosts.filters import ClusterFilter
from hosts.models import Cluster, ClusterMode
from hosts.permissions import clusters_in
from portal.core.models import Role
from portal.core.permissions import Scopes, scopes_of
from portal.views.access import covers
from portal.views.listing import Column, Facet, Listing, words_of
from vms.models import Vm


class ClusterList(Listing):
    """All clusters."""

    title, icon = "Clusters", "stack-2"
    row_template = "rows/clusters.html"
    live_types = "cluster host vm"
    filters = ClusterFilter
    columns = (
        Column("name", "Cluster", "name"),
        Column("mode", "HA", "mode"),
        Column("hosts", "Hosts up", "host_count", number=True),
        Column("vms", "VMs", number=True),
    )
    facets = (Facet("mode", "HA", words_of(ClusterMode)),)
    search_in = ("name",)
    usual_order = "name"
    nothing = "No clusters yet. Hosts that share storage and policy belong to one cluster."
    actions_template = "actions/clusters.html"

    def rows(self, scopes: Scopes) -> QuerySet[Cluster]:
        """Return the clusters that a person may see, their hosts counted."""
        up = Q(hosts__status=HostStatus.UP)
        return Cluster.objects.filter(clusters_in(scopes)).annotate(
            host_count=Count("hosts"), up_count=Count("hosts", filter=up)
        )

    def dress(self, rows: list[Any]) -> None:
        """Add how many VMs each has, and what the person may do."""
        counts = dict(
            Vm.objects.filter(cluster__in=rows).values_list("cluster").annotate(Count("pk"))
        )
        administrates = scopes_of(self.request.user, Role.ADMIN)
        for row in rows:
            row.vm_count = counts.get(row.pk, 0)
            row.may_edit = covers(administrates, cluster=row.pk)

    def more(self, scopes: Scopes) -> dict[str, Any]:
        """Return whether the person may add clusters."""
        return {"may_add": scopes_of(self.request.user, Role.ADMIN).everything}
