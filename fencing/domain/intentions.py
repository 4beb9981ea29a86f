"""What a plan wants done: plain data, carried out by services and operations."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fencing.domain.alerts import AlertKind
from portal.lib.ha.states import HaEvent


@dataclass(frozen=True, slots=True)
class MoveHa:
    """Send ``event`` to the HA state of a host."""

    host: int
    event: HaEvent
    row: int
    why: str


@dataclass(frozen=True, slots=True)
class AskBmc:
    """Read the power of a host; as often as needed for a proof when it says off."""

    host: int
    why: str


@dataclass(frozen=True, slots=True)
class AskStorage:
    """Read a host's storage heartbeat, and its VMs' disk activity, through a neighbour."""

    host: int
    why: str


@dataclass(frozen=True, slots=True)
class Distrust:
    """Stop believing a controller until it has been tested again (row 1)."""

    host: int
    controller: int
    why: str


@dataclass(frozen=True, slots=True)
class UseProof:
    """Close every run of a host that its *off* readings can end (row 2)."""

    host: int
    row: int
    why: str


@dataclass(frozen=True, slots=True)
class UseKdump:
    """Close the runs of a host whose crash kernel has reported while its heartbeat stands still."""

    host: int
    why: str


@dataclass(frozen=True, slots=True)
class DumpOver:
    """A host has dumped for as long as it may: it counts as silent again."""

    host: int
    why: str


@dataclass(frozen=True, slots=True)
class Recover:
    """Restart a silent host's libvirtd over SSH; its VMs run on, and nothing is proven by it."""

    host: int
    row: int
    why: str


@dataclass(frozen=True, slots=True)
class Fence:
    """Turn a host off and prove it."""

    host: int
    row: int
    why: str


@dataclass(frozen=True, slots=True)
class Release:
    """Withdraw a fence whose power command was not yet claimed: the host answers again."""

    host: int
    why: str


@dataclass(frozen=True, slots=True)
class PowerOn:
    """Switch a proven-off host on again."""

    host: int
    why: str


@dataclass(frozen=True, slots=True)
class BootOverdue:
    """A host that was powered on did not answer within ``boot_wait``."""

    host: int
    why: str


@dataclass(frozen=True, slots=True)
class Evacuated:
    """No VM is left on a host that shall go into maintenance."""

    host: int
    why: str


@dataclass(frozen=True, slots=True)
class Start:
    """Start a VM on a host."""

    vm: int
    host: int
    why: str


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Ask sanlock for a VM's leases on a host, by starting it there; its run stays open."""

    vm: int
    host: int
    why: str


@dataclass(frozen=True, slots=True)
class FreeLeases:
    """Mark a host that is proven off free in its lockspaces, so that its leases can be taken."""

    host: int
    why: str


@dataclass(frozen=True, slots=True)
class Move:
    """Migrate a running VM; ``home`` is the host that it shall come back to when that is used."""

    vm: int
    to: int
    why: str
    home: int | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A VM wants to start and cannot yet; ``why`` names the reason per host."""

    vm: int
    why: str


@dataclass(frozen=True, slots=True)
class ArmAgain:
    """The time for which the cluster was to observe is over."""


@dataclass(frozen=True, slots=True)
class Revive:
    """Resume a copy that its storage has paused, as soon as that is back."""

    vm: int
    host: int
    why: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End a copy that its storage has paused for too long."""

    vm: int
    host: int
    why: str


@dataclass(frozen=True, slots=True)
class Raise:
    """Open an alert, or keep it open; 0 means no such subject."""

    kind: AlertKind
    host: int
    vm: int
    text: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Close an alert whose reason is gone."""

    kind: AlertKind
    host: int
    vm: int


Intention = (
    MoveHa
    | AskBmc
    | AskStorage
    | Distrust
    | UseProof
    | UseKdump
    | DumpOver
    | Recover
    | Fence
    | Release
    | PowerOn
    | BootOverdue
    | Evacuated
    | Start
    | TakeOver
    | FreeLeases
    | Move
    | Hold
    | ArmAgain
    | Revive
    | Kill
    | Raise
    | Clear
)


def over(
    open_now: AbstractSet[tuple[str, int, int]], host: int, vm: int, *kinds: AlertKind
) -> list[Clear]:
    """Return what closes the alerts of these kinds that are open; nothing for the others."""
    if not open_now:
        return []
    return [Clear(kind, host, vm) for kind in kinds if (kind, host, vm) in open_now]
