"""Hosts: their list, and what their rows show wherever they are shown."""

from typing import Any

from django.db.models import Count, Prefetch, QuerySet
from django.urls import reverse

from fencing.domain.departing import Departure, guests_wait
from fencing.domain.policy import Policy, layered
from fencing.domain.power import PowerState
from fencing.models import PowerController
from fencing.selectors import global_policy
from hosts.domain.states import ANSWERING, SILENCE_EXPECTED, HostStatus, Wanted
from hosts.filters import HostFilter
from hosts.models import Host
from hosts.permissions import hosts_in
from portal.core.models import Role
from portal.core.permissions import Scopes, scopes_of
from portal.lib.ha.states import HaState
from portal.views.access import around, covers, may_add_hosts
from portal.views.listing import Column, Facet, Listing, words_of
from vms.models import Run

#: What a person may confirm (fencing/services/confirmations.py has the last word).
_STATUSES = (HostStatus.NON_RESPONSIVE, HostStatus.REBOOTING, HostStatus.KDUMPING)
_HA_STATES = (HaState.RECOVERING, HaState.FENCING, HaState.DEGRADED)


def confirmable(host: Host) -> bool:
    """Whether the button is shown; the service decides when it is pressed."""
    ha = getattr(host, "ha", None)
    return not host.is_self and (
        host.status in _STATUSES or (ha is not None and ha.state in _HA_STATES)
    )


def whole_rows(scopes: Scopes) -> QuerySet[Host]:
    """Return the hosts that ``scopes`` cover with what a row shows, in two queries."""
    ways = PowerController.objects.defer("password").order_by("level", "pk")
    return (
        Host.objects.filter(hosts_in(scopes))
        .select_related("cluster", "ha")
        .prefetch_related(Prefetch("controllers", queryset=ways, to_attr="ways"))
    )


def dress(rows: list[Any], user: Any) -> None:
    """Give host rows what their templates show: power, what the person may do, what is due."""
    operates, administrates = scopes_of(user, Role.OPERATOR), scopes_of(user, Role.ADMIN)
    open_here = Run.objects.filter(host__in=[host.pk for host in rows], ended_at__isnull=True)
    guests = dict(open_here.values_list("host").annotate(Count("pk")))
    top = global_policy()
    for host in rows:
        host.guests = guests.get(host.pk, 0)
        host.power = [power_of(way) for way in host.ways]
        host.may_act = covers(operates, cluster=host.cluster_id, host=host.pk)
        host.may_edit = covers(administrates, cluster=host.cluster_id, host=host.pk)
        host.watched = host.status not in SILENCE_EXPECTED
        at_stake = host.guests > 0 or host.status == HostStatus.NON_RESPONSIVE
        host.confirmable = at_stake and confirmable(host)
        host.departures = departures(host, top)
        host.wants_out = host.wanted == Wanted.MAINTENANCE


#: What a person may ask of a host that answers: its button, and what the dialog begins with.
_DEPARTURES = (
    (Departure.REBOOT, "refresh", "Reboot", "It shuts down and is switched on again."),
    (Departure.SHUTDOWN, "power", "Shut down", "It stays off until it is switched on here."),
)


def departures(host: Host, top: dict[str, object]) -> list[dict[str, str]]:
    """Return the ways to send a host off, each with what becomes of its VMs."""
    status = HostStatus(host.status)
    there = status in ANSWERING or status is HostStatus.MAINTENANCE
    if host.is_self or not there:
        return []
    policy = layered(top, host.cluster.policy, host.policy)
    return [
        {
            "action": reverse(f"host-actions-{what}", args=[host.pk]),
            "icon": icon,
            "words": words,
            "ask": f"{words} {host.name}? {then} {_fate(policy, what)}",
        }
        for what, icon, words, then in _DEPARTURES
    ]


def _fate(policy: Policy, what: Departure) -> str:
    where = "start elsewhere at once"
    if guests_wait(policy, what):
        where = "wait for it, and start there again"
    elif policy.shutdown_policy == "migrate":
        where += " (shutdown_policy is migrate, but no running VM is moved yet)"
    refused = "it is given up" if policy.guest_stop_refused == "give_up" else "they are ended"
    return (
        f"Its VMs are asked to shut down first; if one has not after {policy.guest_stop_wait:g} s, "
        f"{refused}. Those with HA {where}; the others stay down."
    )


def power_of(way: PowerController) -> dict[str, Any]:
    """Return what a BMC says, as a look of the table in portal/templatetags/look.py."""
    at = way.answered_at or way.asked_at
    if not way.problem and way.state == PowerState.UNKNOWN:
        at = None  # what was read before it was switched on is forgotten
    return {"look": way.problem or way.state, "at": at, "way": way}


def cluster_choices(scopes: Scopes) -> list[tuple[str, str]]:
    """Return the clusters that a person may narrow a list to."""
    rows = around(scopes).order_by("name").values_list("pk", "name")
    return [(str(pk), name) for pk, name in rows]


class HostList(Listing):
    """All hosts."""

    title, icon = "Hosts", "server-2"
    row_template = "rows/hosts.html"
    live_types, live_every = "host vm", 5
    filters = HostFilter
    columns = (
        Column("name", "Host", "name"),
        Column("status", "Status", "status"),
        Column("ha", "HA", "ha__state"),
        Column("power", "Power, says its BMC"),
        Column("guests", "VMs", number=True),
        Column("seen", "Last look", "last_seen"),
        Column("cluster", "Cluster", "cluster__name", usual=False),
        Column("memory", "Memory", "memory_mib", usual=False, number=True),
        Column("vcpus", "CPUs", "vcpus", usual=False, number=True),
        Column("uri", "Address", "uri", usual=False),
        Column("since", "In this status", "status_since", usual=False),
    )
    facets = (
        Facet("cluster", "Cluster", cluster_choices),
        Facet("status", "Status", words_of(HostStatus)),
        Facet("wanted", "Wanted", words_of(Wanted)),
    )
    search_in = ("name", "uri", "hostname")
    usual_order = "name"
    nothing = "No hosts yet. The first one takes a few minutes: its address, its BMC, its VMs."
    actions_template = "actions/hosts.html"

    def rows(self, scopes: Scopes) -> QuerySet[Host]:
        """Return the hosts that a person may see."""
        return whole_rows(scopes)

    def dress(self, rows: list[Any]) -> None:
        """Add what the person may do."""
        dress(rows, self.request.user)

    def more(self, scopes: Scopes) -> dict[str, Any]:
        """Return whether the person may add hosts anywhere."""
        return {"may_add": may_add_hosts(self.request.user)}
