"""The overview's figures: how each cluster is, and failovers over time."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import TruncDate

from fencing.domain.capacity import all_in_words
from fencing.models import Incident
from fencing.permissions import incidents_in
from hosts.domain.states import HostStatus
from hosts.models import Cluster, Host
from hosts.permissions import clusters_in, hosts_in
from portal.core.permissions import Scopes
from vms.domain.states import VmState
from vms.models import Vm
from vms.permissions import vms_in

#: The chart's days, and its size in the units of its drawing.
DAYS, WIDTH, HEIGHT = 30, 360, 72
MOST_CLUSTERS = 12
#: What is lost already: what is said of the next loss leaves it out.
_AWAY = (HostStatus.CONNECTING, HostStatus.NON_RESPONSIVE, HostStatus.KDUMPING)


def clusters(scopes: Scopes) -> dict[str, Any]:
    """Return how each cluster is: hosts up of all, VMs up of those wanted up."""
    found = Cluster.objects.filter(clusters_in(scopes)).select_related("capacity")
    rows = list(found.order_by("name")[:MOST_CLUSTERS])
    mine = {"cluster__in": [row.pk for row in rows]}
    up, wanted = Q(status=HostStatus.UP), Q(wanted_up=True)
    hosts = _by_cluster(Host.objects.filter(hosts_in(scopes), **mine), up)
    vms = _by_cluster(Vm.objects.filter(vms_in(scopes), **mine).filter(wanted), Q(state=VmState.UP))
    ha = _by_cluster(Vm.objects.filter(vms_in(scopes), **mine), Q(ha=True))
    ours = Host.objects.filter(hosts_in(scopes), is_self=True, **mine)
    under_us = dict(ours.values_list("cluster", "name"))
    healths = [
        {
            "cluster": row,
            "hosts": hosts.get(row.pk, (0, 0)),
            "vms": vms.get(row.pk, (0, 0)),
            "ha": ha.get(row.pk, (0, 0)),
            "capacity": _capacity(row),
            "under_us": under_us.get(row.pk, ""),
        }
        for row in rows
    ]
    return {"healths": healths}


def _capacity(row: Cluster) -> dict[str, Any] | None:
    """Return what the cluster can lose, in words, and how full it is."""
    found = getattr(row, "capacity", None)
    if found is None:
        return None
    away = row.hosts.filter(status__in=_AWAY).order_by("name").values_list("name", flat=True)
    unplaced = [(item["host"], item["vms"], item["count"]) for item in found.unplaced]
    return {
        "row": found,
        "ok": found.ok,
        "words": all_in_words(unplaced, found.ok),
        "away": list(away[:4]),
    }


def _by_cluster(rows: Any, good: Q) -> dict[int, tuple[int, int]]:
    """Return, by cluster, how many rows are good and how many there are."""
    counted = rows.values("cluster").annotate(good=Count("pk", filter=good), all=Count("pk"))
    return {row["cluster"]: (row["good"], row["all"]) for row in counted.order_by()}


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the chart, in the units of its drawing."""

    day: date
    good: int
    bad: int
    x: float
    width: float
    good_y: float
    good_height: float
    bad_y: float
    bad_height: float


def failovers(scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the incidents of the last days as bars: ended well, and not (yet)."""
    first = (now - timedelta(days=DAYS - 1)).date()
    rows = Incident.objects.filter(incidents_in(scopes), opened_at__date__gte=first)
    well = Q(outcome__in=("failed_over", "recovered", "restarted", "host_down"))
    counted = (
        rows.annotate(day=TruncDate("opened_at"))
        .values("day")
        .annotate(good=Count("pk", filter=well), all=Count("pk"))
        .order_by("day")
    )
    by_day = {row["day"]: (row["good"], row["all"] - row["good"]) for row in counted}
    most = max([sum(pair) for pair in by_day.values()], default=0)
    bars = [_bar(first, place, by_day, most or 1) for place in range(DAYS)]
    total = sum(sum(pair) for pair in by_day.values())
    chart = {"bars": bars, "most": most, "total": total, "days": DAYS, "first": first}
    return {"chart": chart | {"width": WIDTH, "height": HEIGHT}}


def _bar(first: date, place: int, by_day: dict[date, tuple[int, int]], most: int) -> Bar:
    day = first + timedelta(days=place)
    good, bad = by_day.get(day, (0, 0))
    step = WIDTH / DAYS
    tall, upper = good / most * HEIGHT, bad / most * HEIGHT
    return Bar(
        day,
        good,
        bad,
        x=round(place * step + step * 0.15, 2),
        width=round(step * 0.7, 2),
        good_y=round(HEIGHT - tall, 2),
        good_height=round(tall, 2),
        bad_y=round(HEIGHT - tall - upper, 2),
        bad_height=round(upper, 2),
    )
