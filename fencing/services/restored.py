"""A database that was restored from a backup: noticed, distrusted, compared, accepted.

Each engine keeps the seal of the newest event outside the database.  One that does not
hold that event any more is older than what the engine has done since: until every host's
list was compared nothing is started or fenced, and all clusters only observe.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from fencing.domain.alerts import AlertKind
from fencing.domain.power import PowerState
from fencing.models import FenceOperation, PowerController
from fencing.services.incidents import clear_alert
from fencing.services.inventory import NotAllowed
from hosts.domain.states import HostStatus
from hosts.models import Cluster, ClusterMode, Host
from hosts.services.inventory import set_mode
from portal.core.models import OPEN_STATES, Event, OperationState, Setting
from portal.core.services import record_event
from portal.lib import watermark
from portal.lib.queue import wake_on_commit
from vms.domain.states import EndReason, ProofKind
from vms.models import Run, Vm, VmOperation
from vms.services import runs
from vms.services.sightings import newer_name

ROUND = "fencing.round"
_OLDER = (
    "this database does not hold what this engine has written into it: it was restored from a "
    "backup, and other hosts may run VMs by now"
)


def remember() -> None:
    """Keep the newest event's seal outside the database; called with every sweep."""
    newest = Event.objects.order_by("-pk").values_list("pk", "seal").first()
    mark = f"{newest[0]} {newest[1]}" if newest else ""
    kept = watermark.store()
    if mark and mark != kept.load():
        kept.save(mark)


@transaction.atomic
def check(now: datetime) -> bool:
    """Compare the database with what this engine remembers, as it starts; True: it is older."""
    pk, _, seal = watermark.store().load().partition(" ")
    if not pk.isdecimal() or Event.objects.filter(pk=int(pk), seal=seal).exists():
        return False
    for cluster in Cluster.objects.order_by("pk"):
        value = {"text": _OLDER, "at": now.isoformat()}
        Setting.objects.get_or_create(name=name_of(cluster.pk), defaults={"value": value})
        record_event("database.restored", _OLDER, now=now, cluster=cluster.pk)
        set_mode(cluster, ClusterMode.OBSERVE, actor="portal", now=now)
    PowerController.objects.update(state=PowerState.UNKNOWN, first_off_at=None, off_reads=0)
    _forget_work(now)
    return True


#: Work that may go on: it only asks, or belongs to a run that is open.
_GOES_ON = ("check", "storage", "start", "settle", "adopt", "migrate")


def _forget_work(now: datetime) -> None:
    """Whatever somebody wished for before the backup was taken has been done, or is too old."""
    for model in (FenceOperation, VmOperation):
        rows = model._default_manager.filter(state__in=OPEN_STATES).exclude(kind__in=_GOES_ON)
        rows.update(
            state=OperationState.CANCELLED,
            version=F("version") + 1,
            ended_at=now,
            error_code="restored",
            error_text="the database was restored from a backup",
        )


def name_of(cluster_id: int) -> str:
    """Return the setting that says why the database is not believed about a cluster."""
    return f"forgetful.{cluster_id}"


def distrust_of(cluster_id: int) -> tuple[str, datetime | None]:
    """Return why the database is not believed (the empty text: it is), and since when."""
    row = Setting.objects.filter(name=name_of(cluster_id)).first()
    if row is None:
        return "", None
    value: Any = row.value
    return str(value["text"]), datetime.fromisoformat(value["at"])


def not_compared(cluster_id: int, since: datetime) -> list[str]:
    """Return the hosts that have neither answered since then nor are proven off."""
    rest = Host.objects.filter(cluster_id=cluster_id).exclude(last_seen__gt=since)
    proven = rest.filter(status=HostStatus.DOWN, status_since__gt=since)
    return [row.name for row in rest.exclude(pk__in=proven.values("pk")).order_by("name")]


@transaction.atomic
def settle(cluster_id: int, now: datetime) -> bool:
    """Believe the database again once every host was compared and none shows anything newer."""
    text, since = distrust_of(cluster_id)
    newer = Setting.objects.filter(name__startswith=newer_name(cluster_id, "")).exists()
    if since is None or text != _OLDER or newer or not_compared(cluster_id, since):
        return False
    told = "every host was compared since the database was restored, and none shows anything newer"
    _believe(cluster_id, told, "portal", now)
    return True


@transaction.atomic
def accept(cluster: Cluster, *, actor: str, now: datetime) -> None:
    """Go by the hosts' lists from now on, at a person's word; raises :class:`NotAllowed`.

    Only when every host has answered since, or is proven off: a VM runs where its newest
    copy was seen, and a run that the database has open elsewhere is over.
    """
    Cluster.objects.select_for_update(no_key=True).get(pk=cluster.pk)  # no round meanwhile
    text, since = distrust_of(cluster.pk)
    if since is None:
        raise NotAllowed("the database is believed", "Nothing needs to be done.")
    missing = not_compared(cluster.pk, since)
    if missing:
        told = f"not every host has answered since: {', '.join(missing)}"
        raise NotAllowed(told, "Bring them back, or prove that they are off; then accept.")
    seen = Setting.objects.filter(name__startswith=newer_name(cluster.pk, ""))
    newer = [row.value for row in seen.order_by("name")]
    if any(item["foreign"] for item in newer):
        told = "a host shows VMs of another installation of the portal"
        raise NotAllowed(told, "Two portals must not look after one VM: switch the other one off.")
    for vm_id in sorted({int(item["vm"]) for item in newer}):
        _go_by([item for item in newer if item["vm"] == vm_id], actor, now)
    seen.delete()
    _believe(cluster.pk, f"{actor} accepts what the hosts show: {text}", actor, now)


def _go_by(copies: list[dict[str, Any]], actor: str, now: datetime) -> None:
    """Give a VM the generation that was seen, and a run where its newest copy executes."""
    vm = Vm.objects.filter(pk=copies[0]["vm"]).first()
    if vm is None:
        return
    highest = max(int(item["generation"]) for item in copies)
    executing = [item for item in copies if item["executes"]]
    if not executing:
        Vm.objects.filter(pk=vm.pk).update(generation=max(vm.generation, highest))
        return
    newest = max(executing, key=lambda item: int(item["generation"]))
    host = Host.objects.get(pk=newest["host"])
    opened = Run.objects.filter(vm=vm, ended_at__isnull=True).first()
    if opened is not None:
        text = f"{actor} accepts that it runs on {host.name}, as generation {highest}"
        evidence = runs.Evidence(ProofKind.MANUAL, now, text, EndReason.NONE, actor)
        runs.close_run(opened.pk, evidence, now)
    Vm.objects.filter(pk=vm.pk).update(generation=int(newest["generation"]) - 1)
    runs.adopt_run(vm.pk, host, seen_at=now, now=now)
    if len(executing) > 1:
        runs.quarantine(vm.pk, why="it was seen on another host as well", host=host, now=now)


def _believe(cluster_id: int, text: str, actor: str, now: datetime) -> None:
    Setting.objects.filter(name=name_of(cluster_id)).delete()
    clear_alert(AlertKind.FORGETFUL_DATABASE, 0, 0, now)
    record_event("database.accepted", text, now=now, cluster=cluster_id, actor=actor)
    wake_on_commit(ROUND, cluster_id)
