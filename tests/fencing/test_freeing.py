"""Marking a host that is proven off free: only then, only its own record, and read back."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fencing import operations
from fencing.models import FenceOperation
from fencing.services import power
from hosts import storage
from hosts.domain.lockspace import Sector, freed, parse_sector
from hosts.hypervisor.port import Target
from hosts.models import HostStorage, StorageDomain
from hosts.storage.memory import MemoryDomain, MemoryStorage
from hosts.storage.port import StorageError
from tests.vms.test_take_over import leased
from tests.vms.world import World
from vms.domain.states import ProofKind
from vms.models import Vm
from vms.services import runs

SLOTS = {"node1": 0, "node2": 1, "node3": 2}


class Written(MemoryStorage):
    """Remembers who wrote what, and fails when told to."""

    def __init__(self) -> None:
        super().__init__({"shared1": MemoryDomain()})
        for name, slot in SLOTS.items():
            self.domains["shared1"].sectors[slot] = Sector(4, f"uuid.{name}", 5000, 10)
        self.writes: list[tuple[str, int]] = []
        self.fails = False

    def write_sector(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        self.writes.append((writer.name, slot))
        if self.fails:
            raise StorageError("no space left")
        super().write_sector(writer, domain, slot, raw, deadline=deadline)


@pytest.fixture
def shared(both: World) -> Iterator[Written]:
    """A domain in which all three hosts have a record, as recorded in the database."""
    adapter = Written()
    storage.install(adapter)
    yield adapter
    storage.install(None)


def dead(world: World, kind: str = "power_off") -> Vm:
    """A leased VM whose host is proven off, by a proof of that kind."""
    world.run(3)
    vm = leased(world, "web1")
    domain = StorageDomain.objects.get()
    for name, slot in SLOTS.items():
        HostStorage.objects.create(
            host=world.host(name), domain=domain, slot=slot, generation=4, owner=f"uuid.{name}"
        )
    evidence = runs.Evidence(ProofKind(kind), world.clock.time, "test")
    world.hosts["node1"].kill()
    world.bmcs["node1"].on = False
    power.off_is_proven(world.host("node1"), evidence, rule="row 2", now=world.clock.time)
    return vm


def ask(world: World, times: int = 6) -> FenceOperation:
    op = power.ask("free", world.host("node1").pk, now=world.clock.time)
    for _ in range(times):
        operations.advance(op.pk)
        world.clock.forward(2)
    return FenceOperation.objects.get(pk=op.pk)


def record(shared: Written, slot: int = 0) -> Sector:
    return shared.domains["shared1"].sectors[slot]


def test_its_record_is_marked_free_and_nothing_else_is_touched(
    both: World, shared: Written
) -> None:
    dead(both)
    before = dict(shared.domains["shared1"].sectors)
    op = ask(both)
    assert op.state == "done"
    assert shared.writes == [("node2", 0)]
    assert shared.domains["shared1"].sectors == before | {0: replace(before[0], timestamp=0)}
    assert HostStorage.objects.get(slot=0).freed == 4
    assert both.events("lease.freed")


@pytest.mark.parametrize("kind", ["manual", "kdump", "rebooted"])
def test_nothing_is_written_after_any_other_proof(both: World, shared: Written, kind: str) -> None:
    dead(both, kind)
    assert ask(both).state == "done"
    assert shared.writes == []


def test_nothing_is_written_of_a_host_that_is_being_switched_on(
    both: World, shared: Written
) -> None:
    dead(both)
    power.ask("power_on", both.host("node1").pk, now=both.clock.time)
    assert ask(both, times=1).state == "done"
    assert shared.writes == []


def test_nothing_is_written_over_a_later_life_of_the_host(both: World, shared: Written) -> None:
    dead(both)
    shared.domains["shared1"].sectors[0] = Sector(5, "uuid.node1", 30, 10)
    ask(both)
    assert shared.writes == []
    assert record(shared) == Sector(5, "uuid.node1", 30, 10)
    assert HostStorage.objects.get(slot=0).freed == 4, "its old leases are free by that"


def test_nothing_is_written_over_a_strangers_record(both: World, shared: Written) -> None:
    dead(both)
    shared.domains["shared1"].sectors[0] = Sector(4, "somebody.else", 30, 10)
    ask(both)
    assert shared.writes == []


def test_after_three_failures_sanlock_is_left_to_itself(both: World, shared: Written) -> None:
    dead(both)
    shared.fails = True
    assert ask(both, times=8).state == "done"
    assert [name for name, _ in shared.writes] == ["node2", "node3", "node2"]
    (told,) = both.events("lease.not_freed")
    assert "no space left" in told.text


def test_a_worker_that_lost_its_claim_writes_nothing(both: World, shared: Written) -> None:
    dead(both)

    def slow(reader: Target, domain: str, slots: object, *, deadline: float) -> tuple[bytes, ...]:
        both.clock.forward(60)
        return MemoryStorage.sectors(shared, reader, domain, [0], deadline=deadline)

    shared.sectors = slow  # type: ignore[method-assign]  # a read that takes longer than the claim
    ask(both, times=1)
    assert shared.writes == []


def test_what_is_freed_reads_as_free() -> None:
    memory = Written()
    (raw,) = memory.sectors(Target(2, "node2", ""), "shared1", [0], deadline=1)
    assert parse_sector(freed(raw)) == Sector(4, "uuid.node1", 0, 10)


def test_the_vm_of_a_freed_host_starts_at_once(both: World, shared: Written) -> None:
    vm = dead(both)
    Vm.objects.filter(pk=vm.pk).update(wanted_up=True)
    both.run(6)
    assert both.runs(vm)[-1][2] == "open"
    assert both.copies(vm) in (["node2"], ["node3"])
    assert shared.writes == [("node2", 0)]
