"""The rules that decide whether a run may be called over.

Each rule is one small function, so that it can be read, cited on an incident
page, and switched off by a test that shows what it prevents.  ``True`` always
means "this rule is satisfied".
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from vms.domain.states import EndReason, RunState


@dataclass(frozen=True, slots=True)
class OpenRun:
    """One open run as the rules see it.

    ``outstanding``: a start call of ours was sent and never answered, so the
    host may still carry it out when it thaws.  ``adopting``: the copy was found
    running and does not carry this run's stamp yet.
    """

    pk: int
    vm: int
    vm_uuid: str
    vm_name: str
    host: int
    generation: int
    state: RunState
    started_at: datetime
    outstanding: bool = False
    migrating_to: int | None = None
    contender: int | None = None
    adopting: bool = False
    running_at: datetime | None = None
    asked_down: bool = False  # the portal asked it to end because its host shall go off
    migrating_since: datetime | None = None

    @property
    def holders(self) -> frozenset[int]:
        """Every host on which a copy of this run may execute."""
        if self.migrating_to is None and self.contender is None:
            return frozenset((self.host,))
        others = (self.migrating_to, self.contender)
        return frozenset((self.host, *(host for host in others if host is not None)))


#: libvirt's reasons that tell a finished life from a lost sight of it.
#: Absent, unknown, migrated, saved and daemon prove nothing (docs/decisions.md).
_ENDINGS = {
    GuestReason.SHUTDOWN: EndReason.GUEST_SHUTDOWN,
    GuestReason.DESTROYED: EndReason.DESTROYED,
    GuestReason.CRASHED: EndReason.CRASHED,
    GuestReason.FAILED: EndReason.CRASHED,
}


def list_is_younger_than_run(asked_at: datetime, run: OpenRun) -> bool:
    """The list was asked for after the run began: an older one knows nothing of it."""
    return asked_at > run.started_at


def no_call_is_outstanding(run: OpenRun) -> bool:
    """No start call of ours may still be carried out: else "off" may become "on" by itself."""
    return not run.outstanding


def start_has_been_answered(run: OpenRun) -> bool:
    """The run is past its start: while ours is on its way, "off" only means "not yet"."""
    return run.state is RunState.RUNNING


def reason_proves_end(guest: SeenGuest) -> bool:
    """libvirt names an ending that it has seen itself."""
    return guest.reason in _ENDINGS


def copy_is_of_this_run(guest: SeenGuest, run: OpenRun) -> bool:
    """The domain on the run's host is the one that this run is about, not an older definition.

    A host has one domain of a UUID.  So while a copy that was found there waits
    for its stamp, what it carries of an earlier life is no sign of another copy.
    """
    if guest.stamp is None or guest.stamp.generation == run.generation:
        return True
    return run.adopting and guest.stamp.generation < run.generation


def is_contenders(guest: SeenGuest, run: OpenRun, host: int) -> bool:
    """The copy is the one that was started there to take over this run's leases."""
    return (
        run.contender == host
        and guest.stamp is not None
        and guest.stamp.generation == run.generation + 1
    )


def is_takeover(guest: SeenGuest, run: OpenRun, host: int) -> bool:
    """The copy that was to take over this run's leases has them.

    libvirt asks sanlock after the process is there and before its CPUs run: one that
    stands still, for whatever reason, shows no lease.
    """
    return is_contenders(guest, run, host) and guest.state is GuestState.RUNNING


def is_observed_off(guest: SeenGuest, run: OpenRun, asked_at: datetime) -> bool:
    """Whether this list proves that the run is over (proof kind ``observed_off``)."""
    return (
        not guest.executes
        and list_is_younger_than_run(asked_at, run)
        and no_call_is_outstanding(run)
        and start_has_been_answered(run)
        and reason_proves_end(guest)
        and copy_is_of_this_run(guest, run)
    )


def end_reason(guest: SeenGuest) -> EndReason:
    """How the guest ended, by libvirt's own account."""
    return _ENDINGS.get(guest.reason, EndReason.NONE)


def whose_wish(
    guest: SeenGuest, *, wanted_up: bool, asked_down: bool, lock_lost: bool = False
) -> EndReason:
    """Whose wish the end was: what was asked for through the portal is not the guest's own.

    ``lock_lost``: its host's sanlock has not renewed; it destroys what holds leases.
    """
    if not wanted_up:
        return EndReason.ADMIN_STOP
    told = end_reason(guest)
    if lock_lost and told is EndReason.DESTROYED:
        return EndReason.LOCK_LOST
    ours = asked_down and told in (EndReason.GUEST_SHUTDOWN, EndReason.DESTROYED)
    return EndReason.HOST_SHUTDOWN if ours else told


def identity_is_proven(guid: str | None, host_uuid: str) -> bool:
    """The BMC is this host's: its system GUID is the UUID that libvirt reports.

    Vendors send the sixteen bytes in three orders (SMBIOS, IPMI 2.0 reversed,
    RFC 4122); a match in any of them is the same machine.
    """
    if not guid or not host_uuid:
        return False
    told, host = uuid.UUID(guid), uuid.UUID(host_uuid)
    raws = (told.bytes, told.bytes_le, told.bytes[::-1])
    return any(host.bytes in (raw, uuid.UUID(bytes=raw).bytes_le, raw[::-1]) for raw in raws)


def is_silent_since(last_seen: datetime | None, first_off_asked: datetime) -> bool:
    """libvirt has said nothing since before the first *off* was asked for."""
    return last_seen is None or last_seen < first_off_asked


def enough_off_reads(count: int, wanted: int) -> bool:
    """The BMC has read back *off* as often as policy asks (some answer before the relay opens)."""
    return count >= wanted


def off_reads_are_apart(first: datetime, last: datetime | None, wanted: int, gap_s: float) -> bool:
    """The *off* readings span the pauses between them: two in one instant are one reading."""
    return last is not None and (last - first).total_seconds() >= (wanted - 1) * gap_s


def run_began_before(run_started_at: datetime, asked_at: datetime) -> bool:
    """The run was open when the proof was asked for: a proof ends only what it knew of."""
    return run_started_at <= asked_at


def has_no_other_holder(run: OpenRun | None) -> bool:
    """Nobody else may be running this VM: the only state in which a copy is started or adopted."""
    return run is None
