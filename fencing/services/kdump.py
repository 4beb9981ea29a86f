"""Messages of crash kernels, and what they hold back or end."""

from datetime import datetime

from django.db import transaction

from fencing.domain.evidence import heartbeat_evidence
from fencing.domain.kdump import is_believed
from fencing.selectors import facts_of, policy_of
from fencing.services.incidents import open_incident
from fencing.services.power import ROUND
from hosts.domain.states import HostEvent, HostStatus
from hosts.models import Host
from hosts.services import looks
from hosts.services.moves import move_host
from portal.core.services import record_event
from portal.lib.queue import wake_on_commit
from vms.domain.states import EndReason, ProofKind
from vms.services import runs
from vms.services.runs import Evidence


@transaction.atomic
def heard(host_id: int, *, own_address: bool, now: datetime) -> bool:
    """Take a message of a host's crash kernel; False when it is not believed.

    ``own_address``: it was sent from the address at which the host is looked at.
    """
    host = Host.objects.select_related("cluster").select_for_update(of=("self",)).get(pk=host_id)
    status = HostStatus(host.status)
    policy = policy_of(host)
    if not is_believed(status, host.kdump_since, policy, now, own_address=own_address):
        return False
    Host.objects.filter(pk=host_id, kdump_since__isnull=True).update(kdump_since=now)
    move_host(host_id, HostEvent.KDUMP, why="its crash kernel writes a dump", now=now)
    wake_on_commit(ROUND, host.cluster_id)
    return True


@transaction.atomic
def use_proof(host_id: int, why: str, now: datetime) -> list[int]:
    """End the runs of a host that dumps; its leases stay, and it is left to dump."""
    host = Host.objects.select_related("cluster").select_for_update(of=("self",)).get(pk=host_id)
    policy = policy_of(host)
    facts = facts_of(host, now)
    beat = heartbeat_evidence(facts, policy, now)
    since = host.kdump_since
    if host.status != HostStatus.KDUMPING or since is None or not beat.enough:
        return []
    incident = open_incident(host_id, now)
    evidence = Evidence(
        kind=ProofKind.KDUMP,
        at=since,
        text=f"{host.name}: {why}",
        reason=EndReason.HOST_LOST,
        details={"kdump_since": since.isoformat(), "still_s": round(beat.still_s)},
    )
    looks.note_lost(host_id, since)
    vms = runs.close_runs_of_host(host_id, evidence, now, began_by=since)
    record_event(
        "host.proven_dumping",
        f"{host.name} is dead and dumps: {why}",
        now=now,
        host=host_id,
        cluster=host.cluster_id,
        incident=incident.pk,
        rule="kdump",
    )
    for vm in vms:
        text = "it belongs to this incident until it runs again"
        record_event("incident.vm", text, now=now, vm=vm, incident=incident.pk)
    looks.expect_first_contact(host_id)
    wake_on_commit(ROUND, host.cluster_id)
    return vms


def over(host_id: int, why: str, now: datetime) -> None:
    """A host has dumped for as long as it may: it is judged as any silent one."""
    move_host(host_id, HostEvent.BOOT_OVERDUE, why=why, now=now)
