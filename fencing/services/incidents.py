"""Incidents and alerts: what happened, and what needs a person."""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q

from fencing.domain.alerts import CURE, AlertKind
from fencing.models import Alert, Incident
from hosts.models import Host
from portal.core.models import Event
from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from vms.models import Run, Vm


@transaction.atomic
def open_incident(host_id: int, now: datetime, *, title: str = "") -> Incident:
    """Return the host's open incident, opened at the start of its silence if there is none.

    ``title`` says what it is about when it is not a silence, and opens it now.
    """
    host = Host.objects.get(pk=host_id)
    incident, new = Incident.objects.get_or_create(
        host_id=host_id,
        closed_at__isnull=True,
        defaults={
            "title": title or f"{host.name} does not answer",
            "opened_at": now if title else host.missed_since or host.slow_since or now,
        },
    )
    if not new:
        return incident  # another worker opened it at the same moment
    seen = f"{host.last_seen:%H:%M:%S} UTC" if host.last_seen else "never"
    record_event(
        "incident.opened",
        title or f"{host.name} does not answer; last good answer {seen}",
        now=now,
        host=host_id,
        cluster=host.cluster_id,
        incident=incident.pk,
    )
    announce_on_commit("incident", incident.pk, "opened")
    return incident


@transaction.atomic
def open_vm_incident(vm_id: int, host_id: int, now: datetime) -> Incident:
    """Return the open incident that this VM belongs to: its own, or its host's."""
    of_host = Incident.objects.filter(host_id=host_id, closed_at__isnull=True).first()
    own = Incident.objects.filter(vm=vm_id, host__isnull=True, closed_at__isnull=True).first()
    if of_host or own:
        return of_host or own  # type: ignore[return-value]  # one of them is there
    vm = Vm.objects.get(pk=vm_id)
    last = Run.objects.filter(vm=vm_id, ended_at__isnull=False).order_by("-generation").first()
    incident, _ = Incident.objects.get_or_create(
        vm=vm_id,
        host=None,
        closed_at__isnull=True,
        defaults={
            "title": f"{vm.name} died",
            "opened_at": (last.ended_at if last else None) or now,
        },
    )
    announce_on_commit("incident", incident.pk, "opened")
    return incident


@transaction.atomic
def close_incident(incident: Incident, outcome: str, summary: str, now: datetime) -> bool:
    """Close an incident once, with what came of it."""
    won = Incident.objects.filter(pk=incident.pk, closed_at__isnull=True).update(
        closed_at=now, outcome=outcome, summary=summary
    )
    if won:
        record_event(
            "incident.closed",
            summary,
            now=now,
            incident=incident.pk,
            host=incident.host_id or 0,
            vm=incident.vm,
        )
        announce_on_commit("incident", incident.pk, "closed")
    return bool(won)


@transaction.atomic
def acknowledge(incident: Incident, text: str, *, actor: str, now: datetime) -> None:
    """Note who has seen an incident; the latest word stands, the events keep all of them."""
    Incident.objects.filter(pk=incident.pk).update(
        acknowledged_at=now, acknowledged_by=actor, acknowledged_text=text
    )
    host = incident.host
    record_event(
        "incident.acknowledged",
        f"{actor} has seen this incident" + (f": {text}" if text else ""),
        now=now,
        actor=actor,
        incident=incident.pk,
        host=host.pk if host else 0,
        cluster=host.cluster_id if host else 0,
        vm=incident.vm,
    )
    announce_on_commit("incident", incident.pk, "acknowledged")


@transaction.atomic
def raise_alert(kind: AlertKind, host_id: int, vm_id: int, text: str, now: datetime) -> bool:
    """Open an alert, or renew the text of the open one; True only when it is new."""
    subject = {"kind": kind, "host": host_id, "vm": vm_id}
    open_now = Alert.objects.filter(**subject, closed_at__isnull=True)
    if open_now.exists():
        open_now.exclude(text=text).update(text=text)
        return False
    try:
        with transaction.atomic():
            alert = Alert.objects.create(**subject, text=text, opened_at=now)
    except IntegrityError:
        return False
    mine = Q(host_id=host_id) if host_id else Q(vm=vm_id, host__isnull=True)
    incident = Incident.objects.filter(mine, closed_at__isnull=True).first()
    record_event(
        f"alert.{kind}",
        f"alert, {kind.replace('_', ' ')}: {text}",
        now=now,
        host=host_id,
        vm=vm_id,
        incident=incident.pk if incident else 0,
        evidence={"cure": CURE[kind]},
    )
    announce_on_commit("alert", alert.pk, kind)
    return True


@transaction.atomic
def clear_alert(kind: AlertKind, host_id: int, vm_id: int, now: datetime) -> bool:
    """Close an alert whose reason is gone."""
    won = Alert.objects.filter(kind=kind, host=host_id, vm=vm_id, closed_at__isnull=True).update(
        closed_at=now
    )
    if won:
        announce_on_commit("alert", 0, kind)
    return bool(won)


def timeline(incident: Incident) -> list[Event]:
    """Return an incident's events in order: its own, and those of its subjects meanwhile."""
    vms = Event.objects.filter(incident=incident.pk).exclude(vm=0).values("vm")
    subject = Q(host=incident.host_id) if incident.host_id else Q(vm=incident.vm)
    meanwhile = Q(at__gte=incident.opened_at) & (subject | Q(vm__in=vms))
    if incident.closed_at is not None:
        meanwhile &= Q(at__lte=incident.closed_at)
    rows = Event.objects.filter(Q(incident=incident.pk) | meanwhile)
    return list(rows.order_by("at", "pk"))
