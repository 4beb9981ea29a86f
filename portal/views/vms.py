"""VMs: their list, and what their rows show wherever they are shown."""

from typing import Any

from django.db.models import Prefetch, QuerySet

from portal.core.models import Role
from portal.core.permissions import Scopes, scopes_of
from portal.lib import clock
from portal.views.access import covers
from portal.views.hosts import cluster_choices
from portal.views.listing import Column, Facet, Listing, words_of, yes_or_no
from vms.domain.states import VmState
from vms.filters import VmFilter
from vms.models import Run, Vm
from vms.permissions import vms_in
from vms.selectors import lock_of


def whole_rows(scopes: Scopes) -> QuerySet[Vm]:
    """Return the VMs that ``scopes`` cover with all that a row shows, in two queries."""
    open_now = Run.objects.filter(ended_at__isnull=True).select_related("host")
    return (
        Vm.objects.filter(vms_in(scopes))
        .select_related("cluster", "lock")
        .defer("xml")
        .prefetch_related(Prefetch("runs", queryset=open_now, to_attr="open_runs"))
    )


def dress(rows: list[Any], user: Any) -> None:
    """Give VM rows what their templates show: open run, what is waited for, what may be done."""
    operates, administrates = scopes_of(user, Role.OPERATOR), scopes_of(user, Role.ADMIN)
    for vm in rows:
        run = vm.open_runs[0] if vm.open_runs else None
        around = {"cluster": vm.cluster_id, "host": run.host_id if run else 0, "vm": vm.pk}
        vm.run = run
        vm.locked = lock_of(vm, clock.now)
        vm.waits = bool(vm.waiting_for) and run is None and vm.wanted_up
        vm.look = "waiting" if vm.waits and vm.state == VmState.DOWN else vm.state
        vm.may_act = covers(operates, **around)
        vm.may_edit = covers(administrates, **around)


class VmList(Listing):
    """All VMs."""

    title, icon = "Virtual machines", "device-desktop"
    row_template = "rows/vms.html"
    live_types = "vm host"
    filters = VmFilter
    columns = (
        Column("name", "VM", "name"),
        Column("state", "State", "state"),
        Column("host", "Host"),
        Column("ha", "HA", "ha"),
        Column("priority", "Priority", "priority", number=True),
        Column("since", "Since", "state_since"),
        Column("tier", "Start tier", "start_tier", usual=False, number=True),
        Column("cluster", "Cluster", "cluster__name", usual=False),
        Column("memory", "Memory", "memory_mib", usual=False, number=True),
        Column("vcpus", "CPUs", "vcpus", usual=False, number=True),
        Column("generation", "Run", "generation", usual=False, number=True),
        Column("uuid", "UUID", "uuid", usual=False),
    )
    facets = (
        Facet("cluster", "Cluster", cluster_choices),
        Facet("state", "State", words_of(VmState)),
        Facet("ha", "HA", yes_or_no("on", "off")),
        Facet("wanted_up", "Wanted", yes_or_no("up", "down")),
    )
    search_in = ("name", "^uuid")
    usual_order = "name"
    nothing = "No VMs yet. Those that run on a host are taken over when the host is added."
    bulk = True

    def rows(self, scopes: Scopes) -> QuerySet[Vm]:
        """Return the VMs that a person may see."""
        return whole_rows(scopes)

    def dress(self, rows: list[Any]) -> None:
        """Add the open run and what the person may do."""
        dress(rows, self.request.user)
