"""sanlock's records: read whole or not at all, freed without touching anything else."""

from base64 import b64decode
from zlib import decompress

import pytest

from hosts.domain.lockspace import (
    LEASE_MAGIC,
    MAGIC,
    SECTOR_BYTES,
    Holder,
    Sector,
    build_record,
    freed,
    host_dead_s,
    parse_holder,
    parse_sector,
)

HOST = Sector(9, "uuid.node1", 4711, 10)
RECORD = build_record(MAGIC, 3, HOST)
HELD = build_record(LEASE_MAGIC, 3, Sector(9, "vm-uuid", 4800, 10), "shared1")


#: The first sector that sanlock 3.8.5 wrote for ``sanlock direct init -s LS:0:…``, compressed.
REAL = decompress(b64decode("eNoTUFAUYmFgZhBgAAImBjhgZMAPfIIZ6AoOlHzcwMDAxTAKqAsA7MoD/A=="))


def test_the_checksum_is_the_one_that_sanlock_itself_writes() -> None:
    assert parse_sector(REAL) == Sector(0, "", 0, 10)
    assert parse_sector(freed(REAL)) == parse_sector(REAL)


def test_a_record_says_who_owns_it_and_when_it_was_renewed() -> None:
    assert RECORD[:4] == MAGIC.to_bytes(4, "little")
    assert parse_sector(RECORD) == HOST


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0" * SECTOR_BYTES, RECORD[:511], HELD, RECORD[:40] + b"\1" + RECORD[41:]],
    ids=["nothing", "zeros", "short", "a lease", "one byte wrong"],
)
def test_what_is_no_whole_record_of_a_host_is_none(raw: bytes) -> None:
    assert parse_sector(raw) is None


def test_a_lease_says_which_host_holds_it_in_which_of_its_lives() -> None:
    assert parse_holder(HELD) == Holder(3, 9, "vm-uuid")


@pytest.mark.parametrize(
    "raw", [b"", RECORD, freed(HELD), HELD[:100]], ids=["nothing", "a host", "free", "short"]
)
def test_a_lease_that_nobody_holds_or_that_is_none_has_no_holder(raw: bytes) -> None:
    assert parse_holder(raw) is None


def test_a_freed_record_is_whole_and_differs_in_its_time_alone() -> None:
    assert parse_sector(freed(RECORD)) == Sector(9, "uuid.node1", 0, 10)
    changed = {at for at in range(SECTOR_BYTES) if RECORD[at] != freed(RECORD)[at]}
    assert changed <= {*range(0x98, 0xA0), *range(0xA8, 0xAC)}


def test_a_host_is_dead_after_eight_renewals_and_the_watchdog() -> None:
    assert host_dead_s(10) == 140
    assert host_dead_s(2) == 76
