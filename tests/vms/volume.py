"""Lease volumes in memory beside a world by hand, and what a test asks of them."""

from typing import Any

from hosts.domain.lockspace import SECTOR_BYTES
from hosts.domain.slots import Entry, build_entry, parse_entry
from hosts.hypervisor.port import Target
from hosts.models import HostStorage, StorageDomain
from hosts.storage.memory import MemoryDomain, MemoryStorage
from hosts.storage.port import StorageError
from tests.vms.world import World
from vms import operations
from vms.domain.states import ProofKind
from vms.models import Lease, Vm, VmOperation
from vms.services import leasing, runs
from vms.services.runs import Evidence

BY = "ann"
SLOTS = 4


class Volume(MemoryStorage):
    """Two domains; counts what is written into each slot, and loses answers when told to."""

    def __init__(self, world: World) -> None:
        super().__init__({name: MemoryDomain() for name in ("ceph1", "ceph2")})
        self.world = world
        self.written_slots: list[tuple[str, int]] = []
        self.loses = ""  # the kind of call whose answer is lost
        self.arrives = True  # ... after the deed

    def _call(self, kind: str, writer: Target, do: Any) -> Any:
        with self.world.call(kind, writer.name):
            lost = self.loses == kind
            if not lost or self.arrives:
                answer = do()
            if lost:
                raise StorageError("the answer was lost")
            return answer

    def index(self, reader: Target, domain: str, slots: int, *, deadline: float) -> bytes:
        read: bytes = self._call(
            "index", reader, lambda: MemoryStorage.index(self, reader, domain, slots, deadline=1)
        )
        return read

    def write_index(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        def do() -> None:
            MemoryStorage.write_index(self, writer, domain, slot, raw, deadline=deadline)

        self._call("write_index", writer, do)

    def write_slot(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        def do() -> None:
            self.written_slots.append((domain, slot))
            MemoryStorage.write_slot(self, writer, domain, slot, raw, deadline=deadline)

        self._call("write_slot", writer, do)

    def entry(self, slot: int, domain: str = "ceph1") -> Entry:
        raw = self.domains[domain].index.get(slot, bytes(SECTOR_BYTES))
        return parse_entry(raw, domain, slot)

    def tell(self, slot: int, entry: Entry) -> None:
        self.domains["ceph1"].index[slot] = build_entry("ceph1", slot, entry)


def carry_on(world: World, op: VmOperation, times: int = 12) -> VmOperation:
    """Let an operation go on for a while."""
    for _ in range(times):
        operations.advance(op.pk)
        world.clock.forward(25)
    return VmOperation.objects.get(pk=op.pk)


def add(world: World, vm: Vm, domain: str = "ceph1") -> VmOperation:
    return leasing.request_add(vm, domain, actor=BY, now=world.clock.time)


def remove(world: World, vm: Vm, domain: str = "ceph1") -> VmOperation:
    return leasing.request_remove(vm, domain, actor=BY, now=world.clock.time)


def move(world: World, vm: Vm, domain: str = "ceph2") -> VmOperation:
    return leasing.request_move(vm, domain, actor=BY, now=world.clock.time)


def leased(world: World, name: str = "web1") -> Vm:
    vm = world.add_vm(name, wanted_up=False)
    assert carry_on(world, add(world, vm)).state == "done"
    return vm


def start(world: World, vm: Vm, host: str = "node1") -> Any:
    run = runs.start_run(vm.pk, world.host(host), why="test", now=world.clock.time)
    runs.mark_running(run.pk, why="test", now=world.clock.time)
    return run


def end(world: World, run: Any, kind: ProofKind = ProofKind.OBSERVED_OFF) -> None:
    runs.close_run(run.pk, Evidence(kind, world.clock.time, "test"), world.clock.time)


def rows(vm: Vm) -> list[tuple[str, int, str]]:
    found = Lease.objects.filter(vm=vm).order_by("domain__name")
    return list(found.values_list("domain__name", "slot", "state"))


def both_domains(world: World) -> Volume:
    """Two domains in which every host has a place."""
    for name in ("ceph1", "ceph2"):
        domain = StorageDomain.objects.create(cluster=world.cluster, name=name, lease_slots=SLOTS)
        for slot, host in enumerate(("node1", "node2", "node3")):
            HostStorage.objects.create(host=world.host(host), domain=domain, slot=slot)
    return Volume(world)
