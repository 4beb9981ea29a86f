"""Short ways to ask for a fence and carry it on."""

from fencing import operations
from fencing.domain.alerts import AlertKind
from fencing.models import Alert, FenceOperation
from fencing.services import power
from tests.vms.world import World


def ask_fence(world: World, name: str, by: str = "user:ann") -> FenceOperation:
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
