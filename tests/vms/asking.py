"""Short ways to ask for a start, carry it on, and close a run."""

from hosts.domain.looks import GuestState, SeenGuest, Stamp
from tests.vms.world import World
from vms import operations
from vms.domain.states import ProofKind
from vms.models import Run, Vm, VmOperation
from vms.services import requests, runs
from vms.services.runs import Evidence


def copy_of(vm: Vm, stamp: Stamp | None, state: GuestState = GuestState.RUNNING) -> SeenGuest:
    return SeenGuest(uuid=vm.uuid, name=vm.name, state=state, stamp=stamp, memory_mib=512, vcpus=1)


def ask_start(world: World, vm: Vm, host: str) -> VmOperation:
    return requests.request_start(vm.pk, world.host(host).pk, why="test", now=world.clock.time)


def step(op: VmOperation, times: int = 1) -> VmOperation:
    for _ in range(times):
        operations.advance(op.pk)
    return VmOperation.objects.get(pk=op.pk)


def close(world: World, run: Run, kind: ProofKind = ProofKind.POWER_OFF) -> bool:
    evidence = Evidence(kind=kind, at=world.clock.time, text="proven in a test")
    return runs.close_run(run.pk, evidence, world.clock.time)
