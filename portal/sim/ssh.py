"""SSH between portal and machines: what it takes, and what it does in the world."""

from fencing.domain.recovery import RecoveryOutcome
from fencing.recovery.port import Tried
from hosts.hypervisor.port import Target
from portal.sim.wire import LOOK_S, Wait, Wire

#: Of the deadline: until a connection that nobody answers is given up.
_CONNECT_SHARE = 1 / 3
RESTART_S = 1.0


def restart(wire: Wire, name: str, deadline: float) -> Wait[Tried]:
    """Restart a host's libvirtd over SSH; the answer may be lost after the deed."""
    world = wire.world
    yield LOOK_S
    tried = world.ssh.restart(Target(world.host_pks[name], name, ""), deadline=deadline)
    if tried.outcome is RecoveryOutcome.UNREACHABLE:
        yield deadline * _CONNECT_SHARE
    elif tried.outcome is RecoveryOutcome.TIMED_OUT:
        yield deadline - LOOK_S
    else:
        yield RESTART_S
        if not world.is_reached(name):
            yield deadline - RESTART_S - LOOK_S
            tried = Tried(RecoveryOutcome.TIMED_OUT, "the answer was lost")
    yield from wire.until_heard()
    return tried
