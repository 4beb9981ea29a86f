"""Which event is told to whom, decided from the event alone."""

from dataclasses import dataclass
from datetime import datetime

from fencing.domain.alerts import AlertKind
from portal.lib.told import Told

#: What a failing target is told as; its alert says the same once more and is told to nobody.
FAILING = "notification.failing"
#: What HA looks after besides hosts, where all that can be done does not help.
HELP = "resource.needs_person"
_NOT_TOLD = frozenset({f"alert.{AlertKind.NOTIFICATION_FAILING}"})

#: Alerts that only say that the portal is at work.
_WAITS = frozenset({f"alert.{AlertKind.HOST_NOT_RESPONDING}"})

_FENCES = frozenset(
    {
        "ha.fencing",
        "fence.failed",
        "host.proven_off",
        "host.disproved",
        "resource.recovering",
        "resource.fencing",
        "resource.fenced",
        "confirm.refused",
        "confirm.override",
        "power.off_asked",
        "power.on_asked",
        "incident.closed",
    }
)


@dataclass(frozen=True, slots=True)
class Happening:
    """One event with the names of what it is about; 0 and "" where there is none."""

    pk: int
    at: datetime
    kind: str
    text: str
    cluster: int = 0
    host: int = 0
    host_name: str = ""
    vm: int = 0
    vm_name: str = ""
    incident: int = 0
    actor: str = ""
    rule: str = ""
    #: The HA state that was left, where the event is a change of it.
    left: str = ""
    #: The notification target that the event is about.
    target: int = 0


def needs_person(kind: str) -> bool:
    """Whether somebody must do something: such an event is told at once."""
    if kind in (FAILING, HELP):
        return True
    return kind.startswith("alert.") and kind not in _WAITS | _NOT_TOLD


def called_off(event: Happening) -> bool:
    """Whether a fence ended without a proof, because it was not needed after all."""
    return event.left == "fencing" and event.kind != "ha.fenced"


def is_told(event: Happening, *, target: int, what: str, cluster: int) -> bool:
    """Whether a target that wants ``what`` of ``cluster`` (0: of all) is told of ``event``.

    An event of no cluster concerns everybody.  A target is never told about itself
    failing: the news would wait behind what does not arrive.
    """
    if event.kind in _NOT_TOLD or (event.kind == FAILING and event.target == target):
        return False
    if cluster and event.cluster and event.cluster != cluster:
        return False
    if what == Told.EVERYTHING or needs_person(event.kind):
        return True
    return what == Told.FENCES and (event.kind in _FENCES or called_off(event))
