"""A run whose copy is neither running nor provably off: end it by doing and looking.

*Absent*, *unknown* or *daemon* prove nothing by themselves (docs/decisions.md,
"Proofs").  So: destroy it there, then see every host of the cluster
answer without it.  Steps: ``destroy`` → ``everywhere`` → done.
"""

from datetime import datetime

from hosts.domain.states import HostStatus
from hosts.hypervisor import hypervisor_for
from hosts.hypervisor.port import HypervisorError, NoSuchGuest, Refused
from hosts.models import Host
from hosts.services import work
from portal.core.models import OperationState
from portal.lib import clock
from vms.domain.states import EndReason, ProofKind
from vms.models import Run, VmOperation
from vms.operations.looking import own_look, target_of
from vms.selectors import run_of
from vms.services import outcomes
from vms.services.runs import Evidence

AGAIN_S = 1.0


def advance_settle(op: VmOperation, deadline_s: float) -> None:
    """Carry a claimed settlement one step on."""
    run = run_of(op)
    if run.ended_at is not None or run.vm.quarantined:
        text = "its run is over already" if run.ended_at else "quarantined: a person must choose"
        work.finish(op, clock.now(), OperationState.CANCELLED, text)
    elif op.step == "everywhere":
        _everywhere(op, run)
    else:
        _destroy(op, run, deadline_s)


def _destroy(op: VmOperation, run: Run, deadline_s: float) -> None:
    hypervisor = hypervisor_for(target_of(op.host))
    try:
        look = own_look(op.host, hypervisor, deadline_s)
        guest = look.guest(run.vm.uuid)
        if guest is not None and guest.executes:
            text = "it executes after all"
            work.finish(op, clock.now(), OperationState.CANCELLED, text)
            return
        hypervisor.destroy(run.vm.uuid, deadline=deadline_s)
    except NoSuchGuest:
        pass
    except Refused as error:
        work.wait(op, clock.now(), AGAIN_S * 5, f"refused: {error}")
        return
    except HypervisorError as error:
        work.wait(op, clock.now(), AGAIN_S, f"no answer: {error}")
        return
    now = clock.now()
    data = op.data | {"destroyed_at": now.isoformat()}
    text = f"destroyed on {op.host.name}; every host is looked at once more"
    work.wait(op, now, AGAIN_S, text, step="everywhere", data=data)


def _everywhere(op: VmOperation, run: Run) -> None:
    since = datetime.fromisoformat(op.data["destroyed_at"])
    now = clock.now()
    missing = [
        host.name
        for host in Host.objects.filter(cluster_id=run.vm.cluster_id)
        if not _answered_since(host, since, gone=bool(op.data.get("gone")))
    ]
    if missing:
        work.wait(op, now, AGAIN_S, "")
        return
    evidence = Evidence(
        kind=ProofKind.DESTROYED_BY_US,
        at=now,
        text=f"{op.data.get('why', 'lost sight of')}; destroyed there, and no host shows it",
        reason=EndReason.CRASHED,
        details={"destroyed_at": since.isoformat()},
    )
    outcomes.stopped(op, run, evidence, now=now)


def _answered_since(host: Host, since: datetime, *, gone: bool) -> bool:
    if host.status in (HostStatus.DOWN, HostStatus.PENDING):
        return True  # proven off, or never part of the cluster
    if host.status == HostStatus.REBOOTING and host.first_contact and not gone:
        # Proven off, and compared before it is used; only a copy that was sent there since may run.
        return True
    return host.last_seen is not None and host.last_seen > since
