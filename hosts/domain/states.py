"""The status of a host, as one table.

Rule 1: every transition is in ``TRANSITIONS``; nothing else moves a host.
Rule 2: an event that must be ignored is written as a self-loop, so that every
        (status, event) pair is defined; a test asserts that none is missing.
Rule 3: a status is what was *observed*.  ``wanted`` is what the admin wants, and
        survives silence and reboots; what HA does about it is portal/lib/ha.
"""

from collections.abc import Mapping
from enum import StrEnum


class HostStatus(StrEnum):
    """What is observed of a host."""

    PENDING = "pending"  # never seen
    UP = "up"
    CONNECTING = "connecting"  # one look missed
    NON_RESPONSIVE = "non_responsive"  # missed_polls looks missed
    NON_OPERATIONAL = "non_operational"  # answers, but is not fit to run VMs
    PREPARING = "preparing_for_maintenance"
    MAINTENANCE = "maintenance"
    REBOOTING = "rebooting"  # powered on or rebooted by the portal
    KDUMPING = "kdumping"
    DOWN = "down"  # proven off, nobody powering it on


class Wanted(StrEnum):
    """What the administrator wants of a host."""

    ACTIVE = "active"
    MAINTENANCE = "maintenance"
    DOWN = "down"


class HostEvent(StrEnum):
    """What can happen to a host's status."""

    SEEN_FIT = "seen_fit"
    SEEN_UNFIT = "seen_unfit"
    SEEN_UNWANTED = "seen_unwanted"  # a good look while maintenance is wanted
    MISSED = "missed"  # one look without an answer
    SILENT = "silent"  # missed_polls looks without an answer
    MAINTENANCE_ASKED = "maintenance_asked"
    EVACUATED = "evacuated"
    ACTIVATED = "activated"
    PROVEN_OFF = "proven_off"
    POWERED_ON = "powered_on"
    BOOT_OVERDUE = "boot_overdue"
    KDUMP = "kdump"


S, E = HostStatus, HostEvent

#: What each event does wherever its row says nothing else.
_USUAL: Mapping[HostEvent, HostStatus | None] = {
    E.SEEN_FIT: S.UP,
    E.SEEN_UNFIT: S.NON_OPERATIONAL,
    E.SEEN_UNWANTED: S.PREPARING,
    E.MISSED: S.CONNECTING,
    E.SILENT: S.NON_RESPONSIVE,
    E.MAINTENANCE_ASKED: S.PREPARING,
    E.EVACUATED: None,  # None: stays where it is
    E.ACTIVATED: None,
    E.PROVEN_OFF: S.DOWN,
    E.POWERED_ON: S.REBOOTING,
    E.BOOT_OVERDUE: None,
    E.KDUMP: None,
}

_EXCEPTIONS: Mapping[HostStatus, Mapping[HostEvent, HostStatus]] = {
    # A host that was never seen is unreachable, not failed: nothing ran there.
    S.PENDING: {E.MISSED: S.PENDING, E.SILENT: S.PENDING, E.MAINTENANCE_ASKED: S.MAINTENANCE},
    S.UP: {},
    S.CONNECTING: {E.KDUMP: S.KDUMPING},
    S.NON_RESPONSIVE: {
        E.MISSED: S.NON_RESPONSIVE,
        E.MAINTENANCE_ASKED: S.NON_RESPONSIVE,  # the wish is kept for when it answers
        E.KDUMP: S.KDUMPING,
    },
    S.NON_OPERATIONAL: {},
    S.PREPARING: {
        E.SEEN_FIT: S.UP,
        E.MISSED: S.PREPARING,  # one miss changes nothing that matters here
        E.EVACUATED: S.MAINTENANCE,
        E.ACTIVATED: S.UP,
    },
    # A host in maintenance is nobody's emergency: silence is shown, not acted on.
    S.MAINTENANCE: {
        E.SEEN_UNWANTED: S.MAINTENANCE,
        E.SEEN_UNFIT: S.MAINTENANCE,
        E.MISSED: S.MAINTENANCE,
        E.SILENT: S.MAINTENANCE,
        E.MAINTENANCE_ASKED: S.MAINTENANCE,
        E.ACTIVATED: S.CONNECTING,  # looked at anew before it is trusted
    },
    # Booting takes minutes; silence is expected until boot_wait is over.
    S.REBOOTING: {
        E.MISSED: S.REBOOTING,
        E.SILENT: S.REBOOTING,
        E.MAINTENANCE_ASKED: S.REBOOTING,
        E.BOOT_OVERDUE: S.NON_RESPONSIVE,
        E.KDUMP: S.KDUMPING,
    },
    S.KDUMPING: {
        E.MISSED: S.KDUMPING,
        E.SILENT: S.KDUMPING,
        E.MAINTENANCE_ASKED: S.KDUMPING,
        E.BOOT_OVERDUE: S.NON_RESPONSIVE,
    },
    S.DOWN: {
        E.MISSED: S.DOWN,
        E.SILENT: S.DOWN,
        E.MAINTENANCE_ASKED: S.DOWN,
    },
}

TRANSITIONS: Mapping[HostStatus, Mapping[HostEvent, HostStatus]] = {
    status: {
        event: _EXCEPTIONS[status].get(event) or usual or status for event, usual in _USUAL.items()
    }
    for status in HostStatus
}

#: Statuses in which silence was expected or is already being dealt with.
SILENCE_EXPECTED = frozenset({S.PENDING, S.MAINTENANCE, S.REBOOTING, S.KDUMPING, S.DOWN})

#: Statuses of a host that answers, fit or not, and is not in maintenance.
ANSWERING = frozenset({S.UP, S.NON_OPERATIONAL, S.PREPARING})

#: Statuses in which the host answers nobody: looked at more slowly.
SLOW_LOOK = frozenset({S.MAINTENANCE, S.DOWN, S.PENDING})


def next_status(status: HostStatus, event: HostEvent) -> HostStatus:
    """Return the status that ``event`` leads to from ``status``."""
    return TRANSITIONS[status][event]
