"""The leases with which a copy is started, as its definition names them."""

from hosts.domain.lockspace import SLOT_BYTES
from hosts.hypervisor.port import LeaseSpec
from vms.models import Run, RunLease

VOLUME = "leases"


def leases_of(run: Run) -> tuple[LeaseSpec, ...]:
    """Return what the host of this run's copy must take before it runs."""
    rows = RunLease.objects.filter(run=run).select_related("domain").order_by("domain__name")
    return tuple(
        LeaseSpec(
            row.domain.name,
            run.vm.uuid,
            f"{row.domain.path}/{VOLUME}",
            row.slot * SLOT_BYTES,
        )
        for row in rows
    )
