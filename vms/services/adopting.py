"""Entering VMs as they were found on a host: rows and open runs, all of them or none."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from hosts.domain.asked import Asked
from hosts.domain.looks import Look
from hosts.domain.states import HostStatus
from hosts.models import Cluster, Host
from portal.core.services import record_event
from vms.models import Run, Vm, VmOperation
from vms.selectors import disk_in_use, known_as, name_in_use
from vms.services import inventory, runs
from vms.services.inventory import NotNow
from vms.services.requests import ask

#: What was seen longer ago may have ended since, or run elsewhere.
FRESH = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class FoundVm:
    """One domain that shall be adopted; ``disks`` is what it writes to: path to shareable."""

    uuid: str
    name: str
    executes: bool
    memory_mib: int
    vcpus: int
    xml: str
    disks: dict[str, bool] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)


@dataclass(frozen=True, slots=True)
class Adoption:
    """What shall be adopted from one host, and the look that showed it."""

    vms: tuple[FoundVm, ...]
    look: Look
    asked_at: datetime


@transaction.atomic
def adopt(host: Host, found: Adoption, *, ha: bool, actor: str, now: datetime) -> list[VmOperation]:
    """Enter VMs as they are on ``host``; raises :class:`NotNow`, having changed nothing.

    One that runs gets its open run at once: from this commit on it is started
    nowhere else.  The operations returned give each copy its stamp.
    """
    # No round meanwhile, and no other adoption in this cluster.
    Cluster.objects.select_for_update(no_key=True).get(pk=host.cluster_id)
    row = Host.objects.select_for_update(no_key=True).get(pk=host.pk)
    _host_may_adopt(row, found, now)
    return [_adopt_one(row, item, found, ha=ha, actor=actor, now=now) for item in found.vms]


def _host_may_adopt(host: Host, found: Adoption, now: datetime) -> None:
    if host.status != HostStatus.UP or host.first_contact or host.disproved:
        text = f"{host.name} is {host.status}, and not ready to be adopted from"
        raise NotNow(text, "Activate it, or wait until it is up and compared.")
    if host.host_uuid != found.look.host_uuid:
        raise NotNow(f"{host.name} is another machine by now", "Correct its URI.")
    if now - found.asked_at > FRESH:
        raise NotNow(f"{host.name} was looked at too long ago", "Send it again.")


def _adopt_one(
    host: Host, item: FoundVm, found: Adoption, *, ha: bool, actor: str, now: datetime
) -> VmOperation:
    taken = known_as(item.uuid) or name_in_use(item.name, host.cluster) or disk_in_use(item.disks)
    if taken:
        text = f"{item.name} cannot be adopted: {taken}"
        raise NotNow(text, "Leave it out, or remove that reason.")
    fields = {
        "name": item.name,
        "uuid": item.uuid,
        "cluster": host.cluster,
        "memory_mib": item.memory_mib,
        "vcpus": item.vcpus,
        "xml": item.xml,
        "ha": ha,
        "wanted_up": item.executes,
        "disks": item.disks,
        "cpu": item.asked.cpu,
        "networks": list(item.asked.networks),
        "storage": list(item.asked.storage),
    }
    vm = inventory.add_vm(fields, actor=actor, now=now)
    run = _opened(vm, host, found.asked_at, now) if item.executes else None
    text = f"{vm.name} was adopted from {host.name} by {actor}, as it was found there"
    record_event(
        "vm.adoption_asked",
        text,
        now=now,
        actor=actor,
        vm=vm.pk,
        host=host.pk,
        cluster=host.cluster_id,
        evidence={"executes": item.executes, "asked_at": found.asked_at.isoformat()},
    )
    return ask("adopt", vm.pk, host.pk, now=now, run=run, by=actor)


def _opened(vm: Vm, host: Host, seen_at: datetime, now: datetime) -> Run:
    try:
        return runs.adopt_run(vm.pk, host, seen_at=seen_at, now=now, unstamped=True)
    except runs.AlreadyOpen as error:
        raise NotNow(str(error), "Look where it runs by now.") from None
