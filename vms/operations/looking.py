"""One look at one host."""

from hosts.domain.looks import KernelSign
from hosts.hypervisor import hypervisor_for
from hosts.hypervisor.port import HypervisorError, Silent, Target
from hosts.models import Host
from hosts.services import looks
from portal.lib import clock, ids
from portal.lib.queue import wake
from vms.services import sightings

LOOK = "vms.look"
ROUND = "fencing.round"


def target_of(host: Host) -> Target:
    """Return what an adapter needs to reach ``host``."""
    return Target(host_id=host.pk, name=host.name, uri=host.uri)


def look_at(
    host_id: int,
    *,
    poll_s: float,
    deadline_s: float,
    missed_polls: int,
    early: bool = False,
) -> bool:
    """Look at a host once, if it is due; False when it was not this caller's turn.

    Times are seconds of the host's policy.  The open runs are read before the
    question is sent, and the answer carries the time of the question.
    """
    asked_at = clock.now()
    claim = looks.claim_look(host_id, now=asked_at, deadline_s=deadline_s, early=early)
    if claim is None:
        return False
    known = sightings.before(claim.host.cluster_id)
    hypervisor = hypervisor_for(target_of(claim.host))

    def on_slow() -> None:
        if looks.note_slow(claim, clock.now()):
            wake(ROUND, claim.host.cluster_id)

    try:
        look = hypervisor.look(deadline=deadline_s, on_slow=on_slow)
    except HypervisorError as error:
        kernel = error.kernel if isinstance(error, Silent) else KernelSign.UNKNOWN
        looks.record_missed(
            claim,
            text=str(error),
            kernel=kernel,
            missed_polls=missed_polls,
            poll_s=poll_s,
            now=clock.now(),
        )
        wake(ROUND, claim.host.cluster_id)
        return True
    if sightings.record(claim, look, known, poll_s=poll_s, now=clock.now()):
        wake(ROUND, claim.host.cluster_id)
    if look.boot_marker is None:
        _mark(claim.host, deadline_s)
    return True


def _mark(host: Host, deadline_s: float) -> None:
    """Give a host its boot marker; one that cannot be marked proves reboots by power only."""
    token = ids.source().token()
    try:
        hypervisor_for(target_of(host)).place_marker(token, deadline=deadline_s)
    except HypervisorError:
        return
    looks.set_marker(host.pk, token)
