"""Where a VM may start: filters that refuse with a reason, then a fixed order.

Deterministic: the same facts give the same home.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Room:
    """What one host offers; ``fit`` is why it is out of the question ("" when it is not)."""

    host: int
    name: str
    memory_mib: int  # free
    vcpus: int  # free, overcommit applied
    guests: int
    starting: int = 0
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """What one VM asks for."""

    vm: int
    name: str
    memory_mib: int
    vcpus: int
    avoid: frozenset[int] = frozenset()  # hosts that just refused it


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen host, or None; and for every other host the filter that it failed."""

    host: int | None
    refusals: Mapping[str, str]

    @property
    def explained(self) -> str:
        """The refusals in one line for a person."""
        return "; ".join(f"{name}: {why}" for name, why in sorted(self.refusals.items()))


def refusal(room: Room, need: Need, start_parallel: int) -> str:
    """Return the first filter that ``room`` fails for ``need``, or the empty text."""
    if room.unfit:
        return room.unfit
    if room.memory_mib < need.memory_mib:
        return f"{room.memory_mib} MiB free, {need.memory_mib} needed"
    if room.vcpus < need.vcpus:
        return f"{room.vcpus} vcpus free, {need.vcpus} needed"
    if room.starting >= start_parallel:
        return f"{room.starting} starts under way"
    return ""


def choose(need: Need, rooms: Iterable[Room], start_parallel: int) -> Choice:
    """Return the home for ``need``: most free memory, then fewest guests, then name."""
    refusals: dict[str, str] = {}
    fits: list[Room] = []
    for room in rooms:
        why = refusal(room, need, start_parallel)
        if why:
            refusals[room.name] = why
        else:
            fits.append(room)
    if not fits:
        return Choice(None, refusals)
    best = min(
        fits,
        key=lambda room: (room.host in need.avoid, -room.memory_mib, room.guests, room.name),
    )
    return Choice(best.host, refusals)


def take(room: Room, need: Need) -> Room:
    """Return ``room`` with ``need`` in it, for the next choice of the same pass."""
    return replace(
        room,
        memory_mib=room.memory_mib - need.memory_mib,
        vcpus=room.vcpus - need.vcpus,
        guests=room.guests + 1,
        starting=room.starting + 1,
    )
