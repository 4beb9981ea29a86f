"""Short ways to ask for a fence and carry it on."""

from fencing import operations
from fencing.domain.alerts import AlertKind
from fencing.models import Alert, FenceOperation
from fencing.services import drills, power
from hosts.domain.states import Wanted
from hosts.models import Host
from tests.vms.world import World


def ask_fence(world: World, name: str, by: str = "ann") -> FenceOperation:
    return power.ask("fence", world.host(name).pk, now=world.clock.time, by=by, rule="by hand")


def again(op: FenceOperation) -> FenceOperation:
    return FenceOperation.objects.get(pk=op.pk)


def step(world: World, op: FenceOperation) -> FenceOperation:
    """Carry the operation on at the time when it is due."""
    op = again(op)
    world.clock.time = max(world.clock.time, op.due_at)
    operations.advance(op.pk)
    return again(op)


def finish(world: World, op: FenceOperation, steps: int = 12) -> FenceOperation:
    for _ in range(steps):
        op = step(world, op)
        if not op.is_open:
            break
    return op


def has_alert(kind: AlertKind) -> bool:
    return Alert.objects.filter(kind=kind, closed_at__isnull=True).exists()


NODE = "node1"


def rest(world: World, name: str = NODE) -> Host:
    """Put a host into maintenance and wait until it is there."""
    drills.want_host(world.host(name), Wanted.MAINTENANCE, actor="ann", now=world.clock.time)
    world.until(lambda: world.host(name).status == "maintenance", 30)
    world.until(lambda: world.ha(name) == "ineligible", 30)
    return world.host(name)


def ask_drill(world: World, name: str = NODE) -> FenceOperation:
    return drills.ask(world.host(name), actor="ann", now=world.clock.time)


def drilled(world: World, op: FenceOperation, within: float = 900.0) -> FenceOperation:
    world.until(lambda: not again(op).is_open, within)
    return again(op)
