"""The lease volume: a slot is what sanlock would write, and the index says one thing or nothing."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hosts.domain.lockspace import LEASE_MAGIC, SECTOR_BYTES, SLOT_BYTES, Sector, build_record
from hosts.domain.slots import (
    FREE,
    MOST_SLOTS,
    Entry,
    EntryState,
    belongs_to,
    build_entry,
    choice,
    fresh_slot,
    is_held,
    lowest_free,
    owner_of,
    parse_entry,
    parse_index,
    taken_by,
)

UUID = "6a7e7a2e-3c7a-4a0b-9f5e-0123456789ab"
TAKEN = taken_by(UUID)
GIVEN_UP = Entry(EntryState.GIVEN_UP)


@pytest.mark.skipif(shutil.which("sanlock") is None, reason="sanlock is not installed")
def test_a_fresh_slot_is_byte_for_byte_what_sanlock_writes(tmp_path: Path) -> None:
    path = tmp_path / "leases"
    with path.open("wb") as file:
        file.truncate(2 * SLOT_BYTES)
    place = f"ceph1:{UUID}:{path}:{SLOT_BYTES}"
    subprocess.run(["sanlock", "direct", "init", "-r", place], check=True, capture_output=True)
    assert path.read_bytes()[SLOT_BYTES:] == fresh_slot("ceph1", UUID)


def test_a_fresh_slot_belongs_to_its_vm_and_is_held_by_nobody() -> None:
    raw = fresh_slot("ceph1", UUID)
    first = raw[:SECTOR_BYTES]
    assert len(raw) == SLOT_BYTES
    assert belongs_to(first, "ceph1", UUID)
    assert not belongs_to(first, "ceph2", UUID)
    assert not belongs_to(first, "ceph1", "another")
    assert owner_of(first) == UUID
    assert not is_held(first, {})


def test_a_slot_is_held_until_its_host_released_its_record_or_joined_anew() -> None:
    raw = build_record(LEASE_MAGIC, 3, Sector(5, UUID, 1, 10), "ceph1")
    owner = "uuid.node3"
    assert is_held(raw, {3: Sector(5, owner, 900, 10)})
    assert is_held(raw, {3: None})
    assert is_held(raw, {})
    assert not is_held(raw, {3: Sector(5, owner, 0, 10)})
    assert not is_held(raw, {3: Sector(6, owner, 900, 10)})


@pytest.mark.parametrize("entry", [FREE, TAKEN, Entry(EntryState.GIVEN_UP, UUID)])
def test_an_entry_says_what_was_written(entry: Entry) -> None:
    raw = build_entry("ceph1", 7, entry)
    assert len(raw) == SECTOR_BYTES
    assert parse_entry(raw, "ceph1", 7) == entry


def test_an_entry_that_was_never_written_is_free() -> None:
    assert parse_entry(bytes(SECTOR_BYTES), "ceph1", 7) == FREE


def test_an_entry_of_another_slot_domain_length_or_with_a_wrong_byte_says_nothing() -> None:
    raw = build_entry("ceph1", 7, TAKEN)
    unreadable = Entry(EntryState.UNREADABLE)
    assert parse_entry(raw, "ceph1", 8) == unreadable
    assert parse_entry(raw, "ceph2", 7) == unreadable
    assert parse_entry(raw[:-1], "ceph1", 7) == unreadable
    for place in range(0, SECTOR_BYTES, 37):
        wrong = bytearray(raw)
        wrong[place] ^= 1
        assert parse_entry(bytes(wrong), "ceph1", 7) == unreadable


def test_the_index_begins_with_slot_1_and_fills_slot_0_at_most() -> None:
    raw = bytes(SECTOR_BYTES) + build_entry("ceph1", 1, TAKEN) + bytes(SECTOR_BYTES)
    assert parse_index(raw, "ceph1") == {1: TAKEN, 2: FREE}
    assert (MOST_SLOTS + 1) * SECTOR_BYTES == SLOT_BYTES


def test_only_a_slot_that_both_rows_and_index_call_free_is_given() -> None:
    index = {1: FREE, 2: taken_by("another"), 3: GIVEN_UP, 4: Entry(EntryState.UNREADABLE), 5: FREE}
    assert lowest_free(5, {1}, index) == 5
    assert lowest_free(4, {1}, index) is None
    assert lowest_free(5, set(), index) == 1


def test_the_reserved_slot_is_kept_unless_the_index_gave_it_to_another() -> None:
    assert choice(UUID, 2, 5, set(), {2: FREE}) == 2
    assert choice(UUID, 2, 5, set(), {2: TAKEN}) == 2
    assert choice(UUID, 2, 5, set(), {2: taken_by("another")}) == 1
    assert choice(UUID, 2, 5, set(), {2: GIVEN_UP}) == 1


def test_a_vm_that_the_index_knows_gets_its_own_slot_again() -> None:
    index = {1: FREE, 2: GIVEN_UP, 4: TAKEN}
    assert choice(UUID, 2, 5, set(), index) == 4
    assert choice(UUID, 2, 5, {4}, index) == 1
