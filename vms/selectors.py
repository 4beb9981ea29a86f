"""Reading guests: rows to the frozen facts that the domain works on."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import F

from portal.core.models import OPEN_STATES
from vms.domain.proofs import OpenRun
from vms.domain.restart import LastRun, VmFacts
from vms.domain.sightings import KnownVm
from vms.domain.states import EndReason, ProofKind, RunState, VmState
from vms.models import Run, Vm, VmOperation


def open_runs(cluster_id: int) -> dict[int, OpenRun]:
    """Return the open runs of a cluster, by VM."""
    rows = Run.objects.filter(ended_at__isnull=True, vm__cluster_id=cluster_id)
    return {row.vm_id: as_open_run(row) for row in rows.select_related("vm")}


def as_open_run(row: Run) -> OpenRun:
    """Return the frozen view of a run's row (its VM loaded)."""
    return OpenRun(
        pk=row.pk,
        vm=row.vm_id,
        vm_uuid=row.vm.uuid,
        vm_name=row.vm.name,
        host=row.host_id,
        generation=row.generation,
        state=RunState(row.state),
        started_at=row.started_at,
        outstanding=row.outstanding,
        migrating_to=row.migrating_to_id,
        contender=row.contender_id,
    )


def run_of(op: VmOperation) -> Run:
    """Return the run that an operation is about, its VM and host loaded."""
    return Run.objects.select_related("vm", "host").get(operations=op)


def known_vms(cluster_id: int) -> dict[str, KnownVm]:
    """Return the VMs of a cluster, by UUID."""
    rows = Vm.objects.filter(cluster_id=cluster_id)
    return {row.uuid: KnownVm(row.pk, row.uuid, row.name, row.generation, row.ha) for row in rows}


def vm_facts(cluster_id: int) -> tuple[VmFacts, ...]:
    """Return every VM of a cluster with its open and its last closed run."""
    runs = open_runs(cluster_id)
    last = _last_runs(cluster_id)
    rows: Iterable[Vm] = Vm.objects.filter(cluster_id=cluster_id).order_by("name")
    settling = dict(
        VmOperation.objects.filter(vm__cluster_id=cluster_id, kind="settle", state__in=OPEN_STATES)
        .order_by("-requested_at")
        .values_list("vm", "requested_at")
    )
    return tuple(
        _facts(row, settling.get(row.pk), runs.get(row.pk), last.get(row.pk)) for row in rows
    )


def _last_runs(cluster_id: int) -> dict[int, LastRun]:
    """Return each VM's newest closed run: the generation before the highest, or the highest."""
    rows = (
        Run.objects.filter(ended_at__isnull=False, vm__cluster_id=cluster_id)
        .filter(generation__gte=F("vm__generation") - 1)
        .select_related("proof")
        .order_by("generation")
    )
    return {
        row.vm_id: LastRun(
            host=row.host_id,
            kind=ProofKind(row.proof.kind),
            reason=EndReason(row.proof.reason),
            at=row.proof.at,
        )
        for row in rows
        if row.proof is not None
    }


def _facts(
    row: Vm, settling_since: datetime | None, run: OpenRun | None, last: LastRun | None
) -> VmFacts:
    return VmFacts(
        pk=row.pk,
        name=row.name,
        state=VmState(row.state),
        ha=row.ha,
        wanted_up=row.wanted_up,
        memory_mib=row.memory_mib,
        vcpus=row.vcpus,
        priority=row.priority,
        start_tier=row.start_tier,
        quarantined=row.quarantined,
        tries=row.restart_tries,
        refused_at=row.refused_at,
        waiting_since=row.waiting_since,
        refused_by=row.refused_by_id,
        settling_since=settling_since,
        run=run,
        last=last,
    )
