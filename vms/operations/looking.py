"""One look at one host."""

from hosts.domain.liveness import Pace
from hosts.domain.looks import KernelSign, Look
from hosts.hypervisor import hypervisor_for
from hosts.hypervisor.port import Hypervisor, HypervisorError, Silent, Target
from hosts.models import Host
from hosts.services import engines, looks, owners
from portal.lib import clock, ids
from portal.lib.queue import wake
from vms.services import sightings

LOOK = "vms.look"
ROUND = "fencing.round"
#: Seconds that a host has to show an engine that it hears again.
TRY_S = 3.0


def target_of(host: Host) -> Target:
    """Return what an adapter needs to reach ``host``."""
    return Target(host_id=host.pk or 0, name=host.name, uri=host.uri)


def look_at(host_id: int, pace: Pace, *, early: bool = False) -> bool:
    """Look at a host once, if it is due; False when it was not this caller's turn.

    The open runs are read before the question is sent, and the answer carries
    the time of the question.
    """
    claim = looks.claim_look(host_id, pace, now=clock.now(), early=early)
    if claim is None:
        return False
    known = sightings.before(claim.host.cluster_id)

    def on_slow() -> None:
        if looks.note_slow(claim, clock.now()):
            wake(ROUND, claim.host.cluster_id)

    try:
        hypervisor = hypervisor_for(target_of(claim.host))
        look = hypervisor.look(deadline=pace.deadline_s, on_slow=on_slow)
    except HypervisorError as error:
        _missed(claim, error)
        return True
    if sightings.record(claim, look, known, now=clock.now()):
        wake(ROUND, claim.host.cluster_id)
    if look.boot_marker is None and not looks.stranger(claim.host, look):
        _mark(claim.host, pace.deadline_s)
    return True


def pass_on(host: Host, *, early: bool) -> bool:
    """Leave a look to the engine whose host it is; False where it is this one's."""
    if owners.is_mine(host):
        return False
    wake(LOOK, host.pk, *([1] if early else []), to=host.owner)
    return True


def try_to_hear() -> None:
    """Where others get answers and this engine none, ask the host that answered last.

    It counts for nothing but this engine: no miss, no list, no turn taken.
    """
    if not engines.take_try(clock.now()):
        return
    host = Host.objects.filter(last_seen__isnull=False).order_by("-last_seen").first()
    if host is None:
        return
    try:
        own_look(host, hypervisor_for(target_of(host)), TRY_S)
    except HypervisorError:
        return
    engines.tried_well(clock.now())


def own_look(host: Host, hypervisor: Hypervisor, deadline_s: float) -> Look:
    """Return a fresh list of ``host`` itself; another machine at its address is silence."""
    look = hypervisor.look(deadline=deadline_s)
    why = looks.stranger(host, look)
    if why:
        raise Silent(f"{host.name}: {why}", KernelSign.UNKNOWN)
    return look


def _missed(claim: looks.LookClaim, error: HypervisorError) -> None:
    looks.record_missed(
        claim,
        text=str(error),
        kernel=error.kernel if isinstance(error, Silent) else KernelSign.UNKNOWN,
        now=clock.now(),
    )
    wake(ROUND, claim.host.cluster_id)


def _mark(host: Host, deadline_s: float) -> None:
    """Give a host its boot marker; one that cannot be marked proves reboots by power only."""
    if not Host.objects.filter(pk=host.pk).exists():
        return  # removed while it was being asked
    token = ids.source().token()
    try:
        hypervisor_for(target_of(host)).place_marker(token, deadline=deadline_s)
    except HypervisorError:
        return
    looks.set_marker(host.pk, token)
