"""What HA is doing about a resource, as one table; it knows no hosts and no VMs.

The states are those of Apache CloudStack's host HA; the holes of its table are
closed: every (state, event) is defined, a late result is a self-loop, and a
resource that turns healthy before its power command is claimed is let go.

Rule 1: only ``PROVEN_OFF`` leads to ``FENCED``.  A power command that was
        merely accepted, a time-out or an opinion never does.
Rule 2: from ``FENCING`` there is no way back but ``PROVEN_OFF``, a disproved
        suspicion before the command was claimed (``RELEASED``), or an admin.
"""

from collections.abc import Mapping
from enum import StrEnum


class HaState(StrEnum):
    """What is being done about a resource."""

    DISABLED = "disabled"
    INELIGIBLE = "ineligible"
    AVAILABLE = "available"
    SUSPECT = "suspect"  # its last health checks failed
    CHECKING = "checking"  # evidence is being gathered
    DEGRADED = "degraded"  # cannot be managed, but serves its users: left alone
    RECOVERING = "recovering"  # being repaired without power
    RECOVERED = "recovered"  # back, its list not compared yet
    FENCING = "fencing"  # power-off wanted, not yet proven
    FENCED = "fenced"  # proven off


class HaEvent(StrEnum):
    """What can happen to a resource."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    ELIGIBLE = "eligible"
    INELIGIBLE = "ineligible"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    CHECK = "check"
    TOO_FEW_SAMPLES = "too_few_samples"
    ALIVE = "alive"  # evidence says: lives, only cut off
    RECHECK = "recheck"  # degraded for long enough to ask again
    RECOVER = "recover"
    RECOVERY_FAILED = "recovery_failed"
    RECOVERY_DONE = "recovery_done"
    FENCE = "fence"
    RELEASED = "released"
    PROVEN_OFF = "proven_off"
    SETTLED = "settled"  # first list after a fence was compared and cleaned
    DECLARE_DEGRADED = "declare_degraded"
    CANCEL_DEGRADED = "cancel_degraded"


S, E = HaState, HaEvent

#: Events that do the same from every state unless its row says otherwise;
#: None: the resource stays where it is.
_USUAL: Mapping[HaEvent, HaState | None] = {
    E.ENABLED: None,
    E.DISABLED: S.DISABLED,
    E.ELIGIBLE: None,
    E.INELIGIBLE: S.INELIGIBLE,
    E.HEALTHY: None,
    E.UNHEALTHY: None,
    E.CHECK: None,
    E.TOO_FEW_SAMPLES: None,
    E.ALIVE: None,
    E.RECHECK: None,
    E.RECOVER: None,
    E.RECOVERY_FAILED: None,
    E.RECOVERY_DONE: None,
    E.FENCE: None,
    E.RELEASED: None,
    E.PROVEN_OFF: S.FENCED,
    E.SETTLED: None,
    E.DECLARE_DEGRADED: None,
    E.CANCEL_DEGRADED: None,
}

_EXCEPTIONS: Mapping[HaState, Mapping[HaEvent, HaState]] = {
    S.DISABLED: {
        E.ENABLED: S.AVAILABLE,
        E.INELIGIBLE: S.DISABLED,
        # A proof about a host without HA is a fact for its runs, not an HA matter.
        E.PROVEN_OFF: S.DISABLED,
    },
    S.INELIGIBLE: {
        E.ELIGIBLE: S.AVAILABLE,
        E.PROVEN_OFF: S.FENCED,
    },
    S.AVAILABLE: {
        E.UNHEALTHY: S.SUSPECT,
        E.DECLARE_DEGRADED: S.DEGRADED,
    },
    S.SUSPECT: {
        E.HEALTHY: S.AVAILABLE,
        E.CHECK: S.CHECKING,
        E.FENCE: S.FENCING,  # an admin's wish needs no evidence round
        E.DECLARE_DEGRADED: S.DEGRADED,
    },
    S.CHECKING: {
        E.HEALTHY: S.AVAILABLE,
        E.ALIVE: S.DEGRADED,
        E.RECOVER: S.RECOVERING,
        E.FENCE: S.FENCING,
        E.DECLARE_DEGRADED: S.DEGRADED,
    },
    S.DEGRADED: {
        E.HEALTHY: S.AVAILABLE,
        E.RECHECK: S.CHECKING,
        E.FENCE: S.FENCING,
        E.CANCEL_DEGRADED: S.SUSPECT,
    },
    S.RECOVERING: {
        E.HEALTHY: S.RECOVERED,
        E.RECOVERY_DONE: S.RECOVERED,
        E.RECOVERY_FAILED: S.CHECKING,
        E.FENCE: S.FENCING,
    },
    S.RECOVERED: {
        E.UNHEALTHY: S.SUSPECT,
        E.SETTLED: S.AVAILABLE,
    },
    S.FENCING: {
        E.RELEASED: S.AVAILABLE,
        # Too late to come back by being healthy: the command may be on its way.
        E.HEALTHY: S.FENCING,
        E.INELIGIBLE: S.FENCING,
    },
    S.FENCED: {
        E.HEALTHY: S.RECOVERED,
        E.INELIGIBLE: S.FENCED,
    },
}

TRANSITIONS: Mapping[HaState, Mapping[HaEvent, HaState]] = {
    state: {
        event: _EXCEPTIONS[state].get(event) or usual or state for event, usual in _USUAL.items()
    }
    for state in HaState
}

#: States in which somebody is already dealing with the resource.
BUSY = frozenset({S.FENCING, S.RECOVERING})


def next_state(state: HaState, event: HaEvent) -> HaState:
    """Return the state that ``event`` leads to from ``state``."""
    return TRANSITIONS[state][event]
