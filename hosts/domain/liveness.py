"""From looks to events: pure counting, no clock of its own."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hosts.domain.looks import GuestReason, Look
from hosts.domain.states import HostEvent, Wanted


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how patiently a host is looked at; seconds and looks of its policy."""

    poll_s: float
    deadline_s: float
    missed_polls: int


def after_good_look(*, fit: bool, wanted: Wanted) -> HostEvent:
    """Return what a whole answer means for the host's status.

    The admin's wish survives silence and reboots: a host that answers again
    while maintenance is wanted goes back to being evacuated, not to ``up``; so
    does one that was shut down and that somebody has switched on at the machine.
    """
    if wanted is not Wanted.ACTIVE:
        return HostEvent.SEEN_UNWANTED
    return HostEvent.SEEN_FIT if fit else HostEvent.SEEN_UNFIT


def after_missed_look(missed: int, missed_polls: int, *, to_all: bool = True) -> HostEvent:
    """Return what the ``missed``-th unanswered look in a row means.

    ``to_all``: every live engine has asked in vain, so the silence is the host's own.
    """
    return HostEvent.SILENT if to_all and missed >= missed_polls else HostEvent.MISSED


def booted_at(last_seen: datetime | None, uptime_s: float | None) -> datetime | None:
    """Return when a host last booted, as its last good look told; None where it does not tell."""
    if last_seen is None or uptime_s is None:
        return None
    return last_seen - timedelta(seconds=uptime_s)


def rebooted(
    *,
    marker_before: str,
    marker_now: str | None,
    uptime_before_s: float | None,
    uptime_now_s: float | None,
) -> bool:
    """Say whether the host has certainly rebooted between two looks.

    Both signs are needed (docs/decisions.md, "Proofs"): the boot marker is
    gone *and* the uptime fell.  Either alone has an innocent cause: a marker is
    lost when somebody deletes a pool, an uptime is missing in a container.
    """
    if not marker_before or marker_now == marker_before:
        return False
    if uptime_before_s is None or uptime_now_s is None:
        return False
    return uptime_now_s < uptime_before_s


#: libvirt's word for an end that it has seen itself.
_SEEN_TO_END = (
    GuestReason.SHUTDOWN,
    GuestReason.DESTROYED,
    GuestReason.CRASHED,
    GuestReason.FAILED,
)


def carries(look: Look, own: str, *, before: bool) -> bool:
    """Whether the machine ``own`` (a UUID) is this host, or a guest that executes on it.

    ``before``: it did at the last look, without a reboot since.  A libvirtd that has only
    lost sight of that guest does not move it.
    """
    if not own or look.host_uuid == own:
        return bool(own)
    guest = look.guest(own)
    if guest is None or guest.executes:
        return guest is not None
    return before and guest.reason not in _SEEN_TO_END
