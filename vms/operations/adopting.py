"""Adopting what runs on a host: look at it, and later give it its stamp.

In this order nothing unsafe is left, whoever is killed between two steps: the
run is opened first (from then on the VM runs *there*, and is started nowhere
else), the stamp comes second, and until then the copy on that very host counts
as the run's own (``vms.domain.proofs.copy_is_of_this_run``).
"""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hosts.domain.looks import Look, SeenGuest, Stamp
from hosts.domain.states import HostStatus
from hosts.hypervisor import hypervisor_for, passing
from hosts.hypervisor.domain_xml import BadXml, asked_by, disks_of, stamped
from hosts.hypervisor.port import Definition, Hypervisor, HypervisorError, NoSuchGuest
from hosts.hypervisor.portability import ties
from hosts.models import Cluster, Host
from hosts.services import work
from hosts.services.looks import stranger
from portal.core.models import OperationState
from portal.core.names import fault_of
from portal.core.services import installation_id
from portal.lib import clock
from vms.domain.adoption import Candidate, why_not
from vms.models import Run, VmOperation
from vms.operations.entering import DEADLINE, Unfit, reached
from vms.operations.looking import own_look, target_of
from vms.operations.starting import stamp_of
from vms.selectors import disk_in_use, known_as, name_in_use, removed_generation
from vms.services import outcomes
from vms.services.adopting import Adoption, FoundVm

#: So many neighbours are asked at once whether they run a copy as well.
AT_ONCE = 16
#: A copy that cannot be stamped now is tried again; while its run is open this never ends.
AGAIN_S = 3.0
SELDOM_S = 30.0
QUICK_TRIES = 20

_ANY = Stamp(installation="", vm=0, generation=0, run=0)
_OFF = (HostStatus.DOWN, HostStatus.PENDING)


@dataclass(frozen=True, slots=True)
class Found:
    """A domain on a host: what is known of it, and its definition without passwords."""

    candidate: Candidate
    xml: str = ""


def found_on(
    hypervisor: Hypervisor,
    look: Look,
    *,
    cluster: Cluster | None = None,
    only: Collection[str] | None = None,
    elsewhere: dict[str, tuple[str, ...]] | None = None,
) -> list[Found]:
    """Return the domains of a look (those of ``only``), each with what adoption would mean.

    Asks the host for one definition after the other; no transaction may be open.
    """
    own = installation_id()
    copies = elsewhere or {}
    return [
        _found(hypervisor, guest, cluster, own, copies.get(guest.uuid, ()))
        for guest in look.guests
        if only is None or guest.uuid in only
    ]


def _found(
    hypervisor: Hypervisor,
    guest: SeenGuest,
    cluster: Cluster | None,
    own: str,
    elsewhere: tuple[str, ...],
) -> Found:
    known = known_as(guest.uuid)
    try:
        definition = hypervisor.definition(guest.uuid, deadline=DEADLINE)
    except HypervisorError as error:
        definition, fault = Definition(""), f"its definition cannot be read: {error}"
    else:
        fault = _xml_fault(guest, definition.xml)
    disks = {} if fault else _disks(guest, definition.xml)
    candidate = Candidate(
        guest=guest,
        installation=own,
        known=known,
        generation=removed_generation(guest.uuid),
        name_fault="" if known else fault_of(guest.name) or name_in_use(guest.name, cluster),
        xml_fault=fault,
        disk_fault="" if known else disk_in_use(disks),
        elsewhere=elsewhere,
        persistent=definition.persistent,
        has_password=definition.has_password,
        snapshots=definition.snapshots,
        defined_disks=() if fault else tuple(disks_of(definition.xml)),
        ties=() if fault else ties(definition.xml),
    )
    return Found(candidate, definition.xml)


def _xml_fault(guest: SeenGuest, xml: str) -> str:
    """Return why the VM could not be started from this definition, or the empty text."""
    if guest.memory_mib < 1 or guest.vcpus < 1:
        return "its definition names no memory or no processor"
    try:
        stamped(xml, uuid=guest.uuid, name=guest.name, stamp=_ANY)
        ties(xml)
    except BadXml as error:
        return f"its definition cannot be used: {error}"
    return ""


def _disks(guest: SeenGuest, xml: str) -> dict[str, bool]:
    """What its definition writes to, and what the running copy writes to besides."""
    return dict.fromkeys(guest.disks, False) | disks_of(xml)


def examine(host: Host, uuids: Sequence[str], *, field: str) -> Adoption:
    """Look at what shall be adopted and return it, with when the host was asked.

    ``host`` may be unsaved.  Raises :class:`Unfit`, naming the VM and the reason:
    all of them are adopted or none.
    """
    asked_at = clock.now()
    with reached(host) as (hypervisor, seen):
        why = stranger(host, seen)
        if why:
            raise Unfit(field, f"{host.name}: {why}", "Correct the host's URI.")
        missing = [uuid for uuid in uuids if seen.guest(uuid) is None]
        if missing:
            cure = "Look at the host again, and choose from what it has."
            raise Unfit(field, f"{host.name} has no domain {', '.join(missing)}", cure)
        copies = _copies_elsewhere(host, uuids)
        rows = found_on(hypervisor, seen, cluster=host.cluster, only=set(uuids), elsewhere=copies)
    for row in rows:
        for reason in why_not(row.candidate):
            text = f"{row.candidate.guest.name} cannot be adopted: {reason}"
            raise Unfit(field, text, "Remove that reason, or leave this VM out.")
    return Adoption(tuple(map(_as_found, rows)), seen, asked_at)


def _as_found(row: Found) -> FoundVm:
    guest = row.candidate.guest
    return FoundVm(
        uuid=guest.uuid,
        name=guest.name,
        executes=guest.executes,
        memory_mib=guest.memory_mib,
        vcpus=guest.vcpus,
        xml=row.xml,
        disks=_disks(guest, row.xml),
        asked=asked_by(row.xml),
    )


def _copies_elsewhere(host: Host, uuids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Ask the other hosts of the cluster which of these they run; a silent one tells nothing."""
    others = Host.objects.filter(cluster=host.cluster_id).exclude(pk=host.pk)
    asked = list(others.exclude(status__in=_OFF).order_by("name"))
    found: dict[str, tuple[str, ...]] = {}
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        for other, look in zip(asked, pool.map(_look_or_none, asked), strict=True):
            for uuid in uuids:
                guest = look.guest(uuid) if look else None
                if guest is not None and guest.executes:
                    found[uuid] = (*found.get(uuid, ()), other.name)
    return found


def _look_or_none(host: Host) -> Look | None:
    """Look at a neighbour; no database is asked here, as this is a thread of its own."""
    try:
        with passing(target_of(host)) as hypervisor:
            return hypervisor.look(deadline=DEADLINE)
    except HypervisorError:
        return None


def advance_adopt(op: VmOperation, deadline_s: float) -> None:
    """Give an adopted copy its stamp, and see that its host does not start it by itself."""
    run = Run.objects.select_related("vm", "host").get(pk=op.run_id) if op.run_id else None
    over = _over(op, run)
    if over:
        work.finish(op, clock.now(), OperationState.CANCELLED, over)
        return
    hypervisor = hypervisor_for(target_of(op.host))
    try:
        guest = own_look(op.host, hypervisor, deadline_s).guest(op.vm.uuid)
        if not _may_be_stamped(op, run, guest) or not work.is_mine(op, clock.now()):
            return
        stamp = stamp_of(run) if run else _resting(op)
        left = work.time_left(op, clock.now(), deadline_s)
        hypervisor.adopt(op.vm.uuid, stamp, deadline=left)
    except NoSuchGuest:
        work.finish(op, clock.now(), OperationState.DONE, "the host does not know it any more")
    except HypervisorError as error:
        _again(op, run, str(error))
    else:
        outcomes.stamped(op, run, now=clock.now())


def _over(op: VmOperation, run: Run | None) -> str:
    if run is not None:
        return "its run is over already" if run.ended_at else ""
    moved_on = Run.objects.filter(vm=op.vm_id, ended_at__isnull=True).exists()
    return "it runs by now" if moved_on or op.vm.removed_at else ""


def _may_be_stamped(op: VmOperation, run: Run | None, guest: SeenGuest | None) -> bool:
    """Whether the domain there is the one that was adopted; else the operation says why not."""
    now = clock.now()
    if guest is not None and guest.stamp and guest.stamp.installation != installation_id():
        text = f"{op.host.name} shows it with the mark of another installation"
        cure = "Two portals must not look after one VM: find out which is the right one."
        work.finish(op, now, OperationState.FAILED, text, code="foreign", cure=cure)
    elif run is not None and (guest is None or not guest.executes):
        _again(op, run, "the host does not show it running; its looks tell what became of it")
    elif guest is None:
        work.finish(op, now, OperationState.DONE, "its definition is gone from the host")
    elif run is None and guest.executes:
        work.finish(op, now, OperationState.DONE, "somebody has started it; the next look tells")
    elif run is not None and run.vm.quarantined:
        _again(op, run, "quarantined: a person must choose", seldom=True)
    else:
        return True
    return False


def _resting(op: VmOperation) -> Stamp:
    """The mark of a domain that is off: of no run, and so of no copy that may execute."""
    return Stamp(installation_id(), op.vm_id, op.vm.generation, 0)


def _again(op: VmOperation, run: Run | None, text: str, *, seldom: bool = False) -> None:
    """Try again; a copy that runs is never given up, a definition at rest is."""
    now, tries = clock.now(), op.attempt + 1
    if run is None and tries >= QUICK_TRIES:
        cure = "Look after its autostart on that host by hand."
        work.finish(op, now, OperationState.FAILED, text, code="no_answer", cure=cure)
        return
    pause = SELDOM_S if seldom or tries >= QUICK_TRIES else AGAIN_S
    work.wait(op, now, pause, text, attempt=tries)
