"""Looking at a lease volume as a whole: is it one, what differs, and rows from its index."""

from dataclasses import dataclass

from hosts.domain.lockspace import SECTOR_BYTES
from hosts.domain.slots import (
    MOST_SLOTS,
    Difference,
    Entry,
    EntryState,
    differences,
    owner_of,
    parse_index,
)
from hosts.hypervisor.port import Target
from hosts.models import StorageDomain
from hosts.storage import storage
from hosts.storage.port import StorageError
from portal.lib import clock
from vms.models import Lease
from vms.services import leaving, recovering

#: Deadline in seconds of one reading: many slots, one after the other.
DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class Volume:
    """What a lease volume says: its index, and whose record is in each slot."""

    index: dict[int, Entry]
    records: dict[int, str]


def prepare(domain: StorageDomain, slots: int) -> None:
    """Take a volume of ``slots`` slots beside the index into use.

    Raises ``ValueError`` for a number that no volume can have, and
    :class:`~hosts.storage.port.StorageError` where the volume is not as long as that.
    """
    if not 0 < slots <= MOST_SLOTS:
        raise ValueError(f"slots: must be 1 to {MOST_SLOTS}: the index has no room for more")
    through = _reader(domain)
    (last,) = storage().leases(through, domain.name, (slots,), deadline=DEADLINE_S)
    if len(last) != SECTOR_BYTES:
        raise StorageError(f"the volume leases of {domain.name} ends before slot {slots}")
    recovering.note_slots(domain.pk, slots)


def look(domain: StorageDomain) -> Volume:
    """Read the index and the record of every slot through a host that is up."""
    through, adapter = _reader(domain), storage()
    raw = adapter.index(through, domain.name, domain.lease_slots, deadline=DEADLINE_S)
    slots = range(1, domain.lease_slots + 1)
    records = adapter.leases(through, domain.name, slots, deadline=DEADLINE_S)
    owners = dict(zip(slots, map(owner_of, records), strict=True))
    return Volume(parse_index(raw, domain.name), owners)


def check(domain: StorageDomain) -> list[Difference]:
    """Return the slots about which rows, index and records do not agree."""
    seen = look(domain)
    rows = dict(Lease.objects.filter(domain=domain).values_list("slot", "vm__uuid"))
    return differences(rows, seen.index, seen.records)


def rebuild(domain: StorageDomain, actor: str) -> list[str]:
    """Give VMs the rows of the slots that the index knows as theirs; return their names.

    Nothing is written to the storage.  Without its record a lease is new: asking for it
    again writes it.
    """
    seen = look(domain)
    mine = {slot: item.vm for slot, item in seen.index.items() if item.state is EntryState.TAKEN}
    whole = {slot for slot, vm in mine.items() if seen.records.get(slot) == vm}
    return recovering.enter(domain, mine, whole, actor=actor, now=clock.now())


def _reader(domain: StorageDomain) -> Target:
    there = leaving.writers(domain.pk)
    if not there:
        raise StorageError(f"no host that sees {domain.name} is up")
    return Target(there[0].pk, there[0].name, there[0].uri)
