"""Removing a host or a VM from the portal: what is over goes, history stays."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q

from fencing.domain.alerts import AlertKind
from fencing.models import Alert, FenceOperation, HaResource, Incident, PowerController
from fencing.services.incidents import clear_alert, close_incident
from hosts.domain.removal import Hindrance, Remains, Removal, of_host, wrong_status
from hosts.domain.states import HostStatus
from hosts.models import Cluster, Host, HostOperation
from hosts.services import inventory
from hosts.services.inventory import InUse
from portal.core.models import OPEN_STATES, OperationState
from portal.lib.queue import wake_on_commit
from vms.domain.states import HOST_PROOFS, ProofKind
from vms.models import Proof, Run, Vm, VmOperation
from vms.services import leaving
from vms.services import removing as plain
from vms.services.requests import ADVANCE_HOST

#: Power work that only asks: it is withdrawn with the host.
_ASKS = "check"


def removal_of_host(host: Host) -> Removal:
    """Return what removing a host would do."""
    # Its secret is not needed to name an account.
    bmcs = PowerController.objects.defer("password").filter(host=host).order_by("level", "pk")
    proof = Proof.objects.filter(host=host, kind__in=HOST_PROOFS).order_by("-at").first()
    names = Vm.everything.filter(pk__in=host.runs.values("vm")).order_by("name")
    remains = Remains(
        name=host.name,
        uri=host.uri,
        status=HostStatus(host.status),
        answers=_answers(host),
        marker=host.boot_marker,
        vms=tuple(names.values_list("name", flat=True)),
        accounts=tuple(f"{row.username} at {row.address}" for row in bmcs),
        off_by_word=host.status == HostStatus.DOWN
        and proof is not None
        and proof.kind == ProofKind.MANUAL,
    )
    return of_host(remains, list(_hindrances(host)))


def _answers(host: Host) -> bool:
    return host.status == HostStatus.MAINTENANCE and not host.missed and bool(host.last_seen)


def _hindrances(host: Host) -> Iterator[Hindrance]:
    yield from wrong_status(host.name, HostStatus(host.status))
    holders = Q(host=host) | Q(migrating_to=host) | Q(contender=host)
    for run in Run.objects.filter(holders, ended_at__isnull=True).select_related("vm"):
        cure = "Stop it, or bring it elsewhere; if the host is lost, confirm that it is off."
        yield Hindrance(f"{run.vm.name} has an open run on it", cure)
    guests = VmOperation.objects.filter(host=host, state__in=OPEN_STATES)
    for op in (*_open_power(host), *(op for op in guests if not leaving.is_resting(op))):
        cure = "Wait until that operation has ended."
        yield Hindrance(f"“{op.kind}” is under way on it", cure)
    yield from _lost_vms(host)


def _open_power(host: Host) -> Sequence[FenceOperation]:
    rows = FenceOperation.objects.filter(host=host, state__in=OPEN_STATES)
    return list(rows.exclude(~Q(state=OperationState.ACTING), kind=_ASKS))


def _lost_vms(host: Host) -> Iterator[Hindrance]:
    """VMs whose next start still needs looks at this host, or its proof looked at again."""
    if host.status == HostStatus.MAINTENANCE:
        lost = VmOperation.objects.filter(kind="settle", state__in=OPEN_STATES)
        for op in lost.filter(vm__cluster=host.cluster_id).select_related("vm"):
            text = f"{op.vm.name} is out of sight, and this host must show that it does not run it"
            yield Hindrance(text, "Wait until it is settled; repair the host if it is silent.")
    waiting = Vm.objects.filter(cluster=host.cluster_id, ha=True, wanted_up=True)
    waiting = waiting.exclude(runs__in=Run.objects.filter(ended_at__isnull=True))
    for vm in waiting:
        last = vm.runs.select_related("proof").order_by("-generation").first()
        if last and last.host_id == host.pk and last.proof and last.proof.kind in HOST_PROOFS:
            text = f"{vm.name} waits for its restart, which rests on the proof about this host"
            yield Hindrance(text, "Wait until it runs, or say that it shall stay down (stop).")


@transaction.atomic
def remove_host(host: Host, *, actor: str, now: datetime) -> HostOperation | None:
    """Remove a host on which nothing runs; raises :class:`InUse`, having changed nothing.

    Its controllers go with their secrets; runs, proofs, incidents and events stay.
    Returns the operation that takes the portal's marks away, None where nothing is
    to clean or nobody answers.
    """
    # No round meanwhile: it would plan for, and write to, a host that is gone.
    Cluster.everything.select_for_update(no_key=True).get(pk=host.cluster_id)
    row = Host.objects.select_for_update(no_key=True).get(pk=host.pk)
    for why in _hindrances(row):
        raise InUse(why.text, why.cure)
    cleans = bool(removal_of_host(row).cleaned)
    _end_what_is_open(row, now)
    row.controllers.all().delete()
    HaResource.objects.filter(host=row).delete()
    Vm.everything.filter(seen_again_on=row).update(seen_again_on=None)
    inventory.remove_host(row, actor=actor, now=now)
    if not cleans:
        return None
    op = HostOperation.objects.create(
        host=row, kind="clean", requested_by=actor, requested_at=now, due_at=now
    )
    wake_on_commit(ADVANCE_HOST, op.pk)
    return op


def _end_what_is_open(host: Host, now: datetime) -> None:
    """Withdraw questions to its BMCs, and close its alerts and its incident."""
    FenceOperation.objects.filter(host=host, state__in=OPEN_STATES, kind=_ASKS).update(
        state=OperationState.CANCELLED,
        version=F("version") + 1,
        ended_at=now,
        error_code="cancelled",
        error_text="the host was removed",
    )
    for alert in Alert.objects.filter(host=host.pk, closed_at__isnull=True):
        clear_alert(AlertKind(alert.kind), host.pk, alert.vm, now)
    for incident in Incident.objects.filter(host=host, closed_at__isnull=True):
        close_incident(incident, "removed", f"{host.name} was removed from the portal", now)


@transaction.atomic
def remove_vm(vm: Vm, *, actor: str, now: datetime) -> VmOperation | None:
    """Remove a VM that does not run, and close what is open about it; see the plain one."""
    op = plain.remove_vm(vm, actor=actor, now=now)
    HaResource.objects.filter(vm=vm).delete()
    for alert in Alert.objects.filter(vm=vm.pk, host=0, closed_at__isnull=True):
        clear_alert(AlertKind(alert.kind), 0, vm.pk, now)
    for incident in Incident.objects.filter(vm=vm.pk, host__isnull=True, closed_at__isnull=True):
        close_incident(incident, "removed", f"{vm.name} was removed from the portal", now)
    return op
