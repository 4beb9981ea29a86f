"""Whether a domain that somebody else defined may be adopted, and what HA could do for it.

Pure.  Adopting starts and stops nothing: it makes the copy that runs the VM's
one open run.  So whatever leaves a doubt about *which* copy that is forbids it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hosts.domain.looks import GuestState, SeenGuest

_UNCLEAR = {
    GuestState.CRASHED: "it crashed, and its dead copy is kept: destroy it there first",
    GuestState.STOPPING: "it is shutting down: wait until it is off",
    GuestState.UNKNOWN: "its state is one that the portal does not know",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A domain as it was found, with everything that is known of it here.

    The texts are empty where nothing is wrong: ``known`` (who looks after it
    already), ``name_fault``, ``xml_fault``, ``disk_fault``.  ``generation`` is the
    highest ever given to a VM of this UUID that was removed, None if there was none.
    """

    guest: SeenGuest
    installation: str
    known: str = ""
    generation: int | None = None
    name_fault: str = ""
    xml_fault: str = ""
    disk_fault: str = ""
    elsewhere: tuple[str, ...] = ()
    persistent: bool = True
    has_password: bool = False
    snapshots: int = 0
    defined_disks: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()


def why_not(found: Candidate) -> tuple[str, ...]:
    """Return why this domain may not be adopted; nothing means that it may."""
    if found.known:
        return (found.known,)
    return tuple(_forbidding(found))


def _forbidding(found: Candidate) -> Iterator[str]:
    guest = found.guest
    yield from _whose(found)
    if found.elsewhere:
        names = ", ".join(found.elsewhere)
        yield f"a copy of it runs on {names} as well: stop one, both write to the same disks"
    if guest.state in _UNCLEAR:
        yield _UNCLEAR[guest.state]
    if not found.persistent:
        yield "it is transient, gone once it is off: define it on its host first (virsh define)"
    if guest.managed_save:
        yield "its memory is saved on that host, and would be lost: start it there first"
    if found.has_password:
        yield (
            "its console has a password of its own, which the portal does not keep: set it for "
            "the whole host (qemu.conf) instead"
        )
    yield from filter(None, (found.name_fault, found.xml_fault, found.disk_fault))


def _whose(found: Candidate) -> Iterator[str]:
    stamp = found.guest.stamp
    if stamp is None:
        return
    if stamp.installation != found.installation:
        yield "it carries the mark of another installation: two portals must not look after it"
    elif found.generation is None or stamp.generation > found.generation:
        yield (
            f"it carries this portal's mark of generation {stamp.generation}, of which the "
            "database knows nothing: it is old, or not alone"
        )


def unprotected(found: Candidate) -> tuple[str, ...]:
    """Return what stands between this VM and a restart elsewhere; forbids nothing."""
    return tuple(_doubts(found))


def _doubts(found: Candidate) -> Iterator[str]:
    yield from found.ties
    if found.snapshots:
        yield f"{found.snapshots} snapshots: only this host knows them, elsewhere they are lost"
    if found.guest.autostart:
        yield "its host starts it by itself (autostart): adoption switches that off"
    if found.guest.executes and not found.xml_fault:
        for path in sorted(set(found.guest.disks) - set(found.defined_disks)):
            yield f"disk {path} was attached while it ran: its definition lacks it"
