"""The storage port, against memory and against the lab; and writing, which only the lab shows."""

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from hosts.domain.lockspace import SECTOR_BYTES, Sector, parse_sector
from hosts.hypervisor.port import Target
from hosts.storage.libvirtd import LibvirtdStorage
from hosts.storage.memory import MemoryDomain, MemoryStorage
from hosts.storage.port import Storage, StorageError
from tests.lab.hands import Hands, wait_counting
from tests.lab.layout import LOCKSPACE, SHARED, SLOT_BYTES, store
from tests.lab.lockspace import sectors
from tests.waiting import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
DEADLINE = 20.0


@dataclass
class Rig:
    """One world: the adapter, two readers, and hands that reach past it."""

    storage: Storage
    readers: tuple[Target, Target]
    owners: tuple[str, ...]  # how the sectors of the first slots end
    renew: Callable[[], object]
    lose: Callable[[], object]  # the first reader loses the storage
    write: Callable[[], str]  # to a disk, whose path is returned


def _memory() -> Rig:
    domain = MemoryDomain({slot: Sector(1, f"uuid.h{slot + 1}", 100, 2) for slot in range(3)})
    times: dict[str, float] = {}
    world = MemoryStorage({LOCKSPACE: domain}, lambda: times)

    def renew() -> None:
        for slot, sector in domain.sectors.items():
            domain.sectors[slot] = Sector(1, sector.owner, sector.timestamp + 4, 2)

    def write() -> str:
        times["/disk"] = times.get("/disk", 1.0) + 1
        return "/disk"

    readers = (Target(1, "h1", ""), Target(2, "h2", ""))
    lose = partial_add(domain.out_of_reach, "h1")
    return Rig(world, readers, (".h1", ".h2", ".h3"), renew, lose, write)


def partial_add(names: set[str], name: str) -> Callable[[], object]:
    return lambda: names.add(name)


def _real(lab: Hands) -> Rig:
    vm = lab.vm(1)
    path = store() / "disks" / f"{vm.name}.img"

    def write() -> str:
        with path.open("r+b") as file:
            file.write(b"\0")
        return f"{SHARED}/disks/{path.name}"

    return Rig(
        LibvirtdStorage(),
        (lab.target("h1"), lab.target("h2")),
        (".h1", ".h2", ".h3"),
        renew=lambda: None,  # sanlock does
        lose=lambda: lab.do("storage.lose", host="h1"),
        write=write,
    )


@pytest.fixture(params=["memory", "lab"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Both worlds."""
    if request.param == "memory":
        yield _memory()
        return
    lab: Hands = request.getfixturevalue("lab")
    lab.until_joined()
    yield _real(lab)


def test_sectors_come_in_the_order_in_which_they_were_asked_for(rig: Rig) -> None:
    raw = rig.storage.sectors(rig.readers[0], LOCKSPACE, (2, 0), deadline=DEADLINE)
    read = [parse_sector(one) for one in raw]
    assert [sector.owner[-3:] for sector in read if sector] == [rig.owners[2], rig.owners[0]]


def test_every_reader_sees_the_same_hosts_renew(rig: Rig) -> None:
    before = _timestamps(rig, rig.readers[0])
    assert all(before)

    def moved() -> bool:
        rig.renew()
        return all(
            now > then
            for reader in rig.readers
            for now, then in zip(_timestamps(rig, reader), before, strict=True)
        )

    wait_for(moved, 20, "both readers see every sector advance")


def _timestamps(rig: Rig, reader: Target) -> list[int]:
    raw = rig.storage.sectors(reader, LOCKSPACE, (0, 1, 2), deadline=DEADLINE)
    return [sector.timestamp if (sector := parse_sector(one)) else 0 for one in raw]


def test_a_slot_that_nobody_has_is_no_sector(rig: Rig) -> None:
    (raw,) = rig.storage.sectors(rig.readers[0], LOCKSPACE, (900,), deadline=DEADLINE)
    sector = parse_sector(raw)
    assert sector is None or not sector.timestamp


def test_a_domain_that_the_reader_does_not_have_is_an_error(rig: Rig) -> None:
    with pytest.raises(StorageError):
        rig.storage.sectors(rig.readers[0], "elsewhere", (0,), deadline=DEADLINE)


def test_a_reader_that_lost_the_storage_says_so_by_the_deadline_and_the_other_reads_on(
    rig: Rig,
) -> None:
    rig.storage.sectors(rig.readers[0], LOCKSPACE, (0,), deadline=DEADLINE)
    rig.lose()
    begun = time.monotonic()
    with pytest.raises(StorageError):
        rig.storage.sectors(rig.readers[0], LOCKSPACE, (0,), deadline=2)
    assert time.monotonic() - begun < 4
    assert all(_timestamps(rig, rig.readers[1]))


def test_a_disk_that_is_written_has_a_later_time_and_an_unknown_one_has_none(rig: Rig) -> None:
    disk = rig.write()
    asked = (disk, "/nowhere/x.img")
    first = rig.storage.written(rig.readers[0], asked, deadline=DEADLINE)
    assert set(first) == {disk}

    def later() -> bool:
        rig.write()
        return rig.storage.written(rig.readers[1], asked, deadline=DEADLINE)[disk] > first[disk]

    wait_for(later, 10, "the other reader sees the write")


def test_the_disk_of_a_vm_that_runs_is_seen_to_be_written(lab: Hands) -> None:
    vm, storage = lab.vm(1), LibvirtdStorage()
    lab.start(vm, "h1")
    wait_counting(vm)
    first = storage.written(lab.target("h2"), [vm.disk], deadline=DEADLINE)[vm.disk]

    def later() -> bool:
        return storage.written(lab.target("h2"), [vm.disk], deadline=DEADLINE)[vm.disk] > first

    wait_for(later, 15, "the neighbour sees it written")


@pytest.mark.parametrize("length", [SECTOR_BYTES, SLOT_BYTES])
def test_what_is_written_through_one_host_is_on_the_storage_and_nothing_beside_it(
    lab: Hands, length: int
) -> None:
    storage, offset = LibvirtdStorage(), 40 * SLOT_BYTES
    leases = store() / "leases"
    before = leases.read_bytes()
    data = struct.pack("<Q", time.monotonic_ns()) * (length // 8)
    storage.write(lab.target("h1"), LOCKSPACE, "leases", offset, data, deadline=DEADLINE)
    after = leases.read_bytes()
    assert after == before[:offset] + data + before[offset + length :]
    seen = storage.read(lab.target("h2"), LOCKSPACE, "leases", offset, length, deadline=DEADLINE)
    assert seen == data


def test_nothing_is_written_beyond_the_end_of_a_volume(lab: Hands) -> None:
    storage, size = LibvirtdStorage(), (store() / "ids").stat().st_size
    with pytest.raises(StorageError, match="ends at"):
        storage.write(lab.target("h1"), LOCKSPACE, "ids", size - 8, b"x" * 16, deadline=DEADLINE)
    assert (store() / "ids").stat().st_size == size


def test_a_sector_on_the_storage_is_what_a_neighbour_reads(lab: Hands) -> None:
    lab.until_joined()
    raw = LibvirtdStorage().sectors(lab.target("h3"), LOCKSPACE, (0,), deadline=DEADLINE)
    (own,) = sectors(lab.plan.machines[:1])
    read = parse_sector(raw[0])
    assert own is not None
    assert read is not None
    assert (read.owner, read.generation) == (own.owner, own.generation)
