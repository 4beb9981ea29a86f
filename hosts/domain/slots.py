"""A lease volume: what the portal writes into it, and what its index says.

The volume is cut into slots of 1 MiB.  Slot 0 is the *index*: its sector ``k`` (512 bytes,
which a disk writes whole or not at all) tells to whom slot ``k`` was given.  Slots 1 and up
are sanlock resources.  Every entry stands for itself: there is no header and no count that
could disagree with them, so no crash between two writes leaves a mixture.

The database decides while it lives.  The index outlives it: a slot is given only where
*both* call it free, so that a database of yesterday gives none away a second time.
"""

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from hosts.domain.lockspace import (
    LEASE_MAGIC,
    SECTOR_BYTES,
    SLOT_BYTES,
    Holder,
    Sector,
    checksum,
    crc32c,
    is_record,
    parse_holder,
    space_and_key,
)

#: The index fills slot 0, so a volume has no more slots than that has sectors.
MOST_SLOTS = SLOT_BYTES // SECTOR_BYTES - 1
_ENTRY_MAGIC = b"HFLEASE1"
_ENTRY = struct.Struct("<8sII48s48s")
_ENTRY_SUM = SECTOR_BYTES - 4
_STATE_NUMBERS = {"free": 0, "taken": 1, "given_up": 2}

#: sanlock 3.8, ``paxos_lease_init``: versions and sizes of a record that nobody has held yet.
_LEASE_VERSION, _MOST_HOSTS = 0x00060004, 2000
_REQUEST_MAGIC, _REQUEST_VERSION = 0x08292011, 0x00010001


class EntryState(StrEnum):
    """What the index says of a slot."""

    FREE = "free"
    TAKEN = "taken"
    GIVEN_UP = "given_up"  # a write of it went unanswered and may still arrive: nobody gets it
    UNREADABLE = "unreadable"  # no entry of this volume: nobody gets it either


@dataclass(frozen=True, slots=True)
class Entry:
    """To whom a slot was given; ``vm`` is that VM's UUID."""

    state: EntryState
    vm: str = ""


FREE = Entry(EntryState.FREE)


def taken_by(vm: str) -> Entry:
    """Return the entry of a slot that was given to this VM."""
    return Entry(EntryState.TAKEN, vm)


_UNREADABLE = Entry(EntryState.UNREADABLE)


def build_entry(space: str, slot: int, entry: Entry) -> bytes:
    """Return the index sector of a slot."""
    raw = bytearray(SECTOR_BYTES)
    number = _STATE_NUMBERS[entry.state]
    _ENTRY.pack_into(raw, 0, _ENTRY_MAGIC, number, slot, space.encode(), entry.vm.encode())
    struct.pack_into("<I", raw, _ENTRY_SUM, crc32c(bytes(raw[:_ENTRY_SUM])))
    return bytes(raw)


def parse_entry(raw: bytes, space: str, slot: int) -> Entry:
    """Return what an index sector says; one that was never written says free."""
    if raw == bytes(SECTOR_BYTES):
        return FREE
    if len(raw) != SECTOR_BYTES:
        return _UNREADABLE
    (found,) = struct.unpack_from("<I", raw, _ENTRY_SUM)
    magic, number, whose, where, vm = _ENTRY.unpack_from(raw)
    names = {value: key for key, value in _STATE_NUMBERS.items()}
    right = magic == _ENTRY_MAGIC and found == crc32c(raw[:_ENTRY_SUM]) and number in names
    if not right or whose != slot or _text(where) != space:
        return _UNREADABLE
    return Entry(EntryState(names[number]), _text(vm))


def parse_index(raw: bytes, space: str) -> dict[int, Entry]:
    """Return what the first sectors of slot 0 say, by slot; sector 0 is nobody's."""
    return {
        slot: parse_entry(raw[slot * SECTOR_BYTES : (slot + 1) * SECTOR_BYTES], space, slot)
        for slot in range(1, len(raw) // SECTOR_BYTES)
    }


def fresh_slot(space: str, key: str) -> bytes:
    """Return a whole slot as ``sanlock direct init`` makes it: a lease that nobody holds."""
    raw = bytearray(SLOT_BYTES)
    struct.pack_into("<IIII", raw, 0, LEASE_MAGIC, _LEASE_VERSION, 0x10, SECTOR_BYTES)
    struct.pack_into("<QQ", raw, 0x10, _MOST_HOSTS, _MOST_HOSTS)
    raw[0x38 : 0x38 + len(space)] = space.encode("ascii")
    raw[0x68 : 0x68 + len(key)] = key.encode("ascii")
    struct.pack_into("<I", raw, 0xA8, checksum(bytes(raw[:SECTOR_BYTES])))
    struct.pack_into("<II", raw, SECTOR_BYTES, _REQUEST_MAGIC, _REQUEST_VERSION)
    return bytes(raw)


def belongs_to(raw: bytes, space: str, key: str) -> bool:
    """Whether a slot's first sector is the lease of that VM, held or not."""
    return is_record(raw, LEASE_MAGIC) and space_and_key(raw) == (space, key)


def owner_of(raw: bytes) -> str:
    """Return the UUID of the VM whose lease a slot's first sector is; empty: nobody's."""
    return space_and_key(raw)[1] if is_record(raw, LEASE_MAGIC) else ""


def is_held(raw: bytes, sector_of: Mapping[int, Sector | None]) -> bool:
    """Whether somebody may hold the lease in a slot: then not a byte of it is written.

    ``sector_of``: the records of the lockspace by host id.  A host that released its record,
    or has joined anew since it took the lease, holds it no more (so decides sanlock, too).
    """
    holder = parse_holder(raw)
    if holder is None:
        return False
    sector = sector_of.get(holder.host_id)
    return sector is None or _still_holds(holder, sector)


def _still_holds(holder: Holder, sector: Sector) -> bool:
    return sector.generation <= holder.generation and sector.timestamp != 0


def lowest_free(slots: int, taken: Collection[int], index: Mapping[int, Entry]) -> int | None:
    """Return the lowest slot that neither the database nor the index has given to anybody."""
    for slot in range(1, slots + 1):
        if slot not in taken and index.get(slot, FREE).state is EntryState.FREE:
            return slot
    return None


def choice(
    vm: str, reserved: int, slots: int, others: Collection[int], index: Mapping[int, Entry]
) -> int | None:
    """Return the slot that a VM gets; None: there is none.

    The one that was reserved, unless the index has given it to somebody else (``others`` are
    those of the database); then the one that the index knows as this VM's; then any free one.
    """
    if index.get(reserved, FREE) in (FREE, taken_by(vm)):
        return reserved
    mine = (slot for slot, entry in index.items() if entry == taken_by(vm) and slot not in others)
    known = min(mine, default=None)
    return lowest_free(slots, others, index) if known is None else known


@dataclass(frozen=True, slots=True)
class Difference:
    """A slot about which rows, index and its own record do not agree; by VM's UUID."""

    slot: int
    row: str
    index: Entry
    record: str


def differences(
    rows: Mapping[int, str], index: Mapping[int, Entry], records: Mapping[int, str]
) -> list[Difference]:
    """Return the slots to look at: given by the one and not by the other, or to two VMs.

    A free slot may well have the record of who had it last: nothing is written there.
    """
    found = []
    for slot, entry in sorted(index.items()):
        row, record = rows.get(slot, ""), records.get(slot, "")
        agreed = entry == (taken_by(row) if row else FREE) and (not row or record == row)
        if not agreed:
            found.append(Difference(slot, row, entry, record))
    return found


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("ascii", "replace")
