"""Reading events as notifications tell them: with names, cluster and incident."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Q

from fencing.models import Incident
from hosts.models import Host
from portal.core.models import OPEN_STATES, Delivery, Event, NotificationTarget
from portal.notify.domain.telling import Happening
from vms.models import Vm


def happenings(events: Sequence[Event]) -> list[Happening]:
    """Return what rules and wording need of ``events``, in a constant number of queries."""
    hosts = Host.objects.in_bulk({event.host for event in events if event.host})
    vms = Vm.objects.in_bulk({event.vm for event in events if event.vm})
    incidents = _incidents_of(events)
    return [_happening(event, hosts, vms, incidents) for event in events]


def _happening(
    event: Event, hosts: dict[int, Host], vms: dict[int, Vm], incidents: list[Incident]
) -> Happening:
    host, vm = hosts.get(event.host), vms.get(event.vm)
    subject = host or vm
    evidence = event.evidence if isinstance(event.evidence, dict) else {}
    left = evidence.get("from") if event.kind.startswith("ha.") else ""
    target = evidence.get("target") if event.kind.startswith("notification.") else 0
    return Happening(
        pk=event.pk,
        at=event.at,
        kind=event.kind,
        text=event.text,
        cluster=event.cluster or (subject.cluster_id if subject else 0),
        host=event.host,
        host_name=host.name if host else "",
        vm=event.vm,
        vm_name=vm.name if vm else "",
        incident=event.incident or _incident_at(event, incidents),
        actor=event.actor,
        rule=event.rule,
        left=str(left or ""),
        target=int(target or 0),
    )


def _incidents_of(events: Sequence[Event]) -> list[Incident]:
    """Return the incidents that events without one may belong to: opened a moment later."""
    alone = [event for event in events if not event.incident and (event.host or event.vm)]
    if not alone:
        return []
    subjects = Q(host__in={event.host for event in alone if event.host}) | Q(
        host=None, vm__in={event.vm for event in alone if event.vm}
    )
    since = min(event.at for event in alone)
    return list(
        Incident.objects.filter(subjects).filter(Q(closed_at=None) | Q(closed_at__gte=since))
    )


def _incident_at(event: Event, incidents: Iterable[Incident]) -> int:
    for incident in incidents:
        same = incident.host_id == event.host if event.host else incident.vm == event.vm
        over = incident.closed_at is not None and incident.closed_at < event.at
        if same and not over and incident.opened_at <= event.at:
            return incident.pk
    return 0


def told_events(pks: Iterable[int]) -> list[Happening]:
    """Return the events of a message, oldest first."""
    return happenings(list(Event.objects.filter(pk__in=pks).order_by("pk")))


def due_targets(now: datetime) -> list[int]:
    """Return every target that has something to send now."""
    due = Delivery.objects.filter(state__in=OPEN_STATES, due_at__lte=now)
    ready = Q(target__resting_until=None) | Q(target__resting_until__lte=now)
    found = due.filter(Q(event=0) | (ready & Q(target__enabled=True)))
    return sorted(set(found.values_list("target", flat=True)))


def newest_event() -> int:
    """Return the id of the newest event that has been committed."""
    return Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def behind(newest: int) -> list[int]:
    """Return the targets that have not been told of all events up to ``newest`` yet."""
    rows = NotificationTarget.objects.filter(enabled=True, seen_event__lt=newest)
    return list(rows.order_by("pk").values_list("pk", flat=True))
