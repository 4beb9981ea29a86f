"""What a host offers, what a VM needs, and the filters between the two.

Which VMs belong together or apart is asked by ``vms.domain.floor``, which also
chooses: it alone knows what else was placed in the same pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vms.domain.cpu import cannot_run

NOWHERE: frozenset[str] = frozenset()
NO_LOCKSPACE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Room:
    """What one host offers; ``unfit`` is why it is out of the question ("" when it is not).

    ``networks`` and ``storage`` are None where the host does not tell them.
    """

    host: int
    name: str
    memory_mib: int  # free
    vcpus: int  # free, overcommit applied
    guests: int
    starting: int = 0
    unfit: str = ""
    ha_guests: int = 0
    cpu: str = ""  # architecture/model
    networks: frozenset[str] | None = None
    storage: frozenset[str] | None = None
    lockspaces: frozenset[int] = NO_LOCKSPACE  # storage domains in which it can take leases


@dataclass(frozen=True, slots=True)
class Need:
    """What one VM asks for."""

    vm: int
    name: str
    memory_mib: int
    vcpus: int
    avoid: frozenset[int] = frozenset()  # hosts that just refused it
    ha: bool = False
    cpu: str = ""
    networks: frozenset[str] = NOWHERE
    storage: frozenset[str] = NOWHERE
    lockspaces: frozenset[int] = NO_LOCKSPACE  # storage domains of the leases that it takes


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen host; or None, and then for every host the filter that it failed."""

    host: int | None
    refusals: Mapping[str, str]

    @property
    def explained(self) -> str:
        """The refusals in one line for a person."""
        return "; ".join(f"{name}: {why}" for name, why in sorted(self.refusals.items()))


def refusal(room: Room, need: Need, start_parallel: int) -> str:
    """Return the first filter that ``room`` fails for ``need`` alone, or the empty text."""
    if room.unfit:
        return room.unfit
    if room.memory_mib < need.memory_mib:
        return f"{room.memory_mib} MiB free, {need.memory_mib} needed"
    if room.vcpus < need.vcpus:
        return f"{room.vcpus} vcpus free, {need.vcpus} needed"
    why = incapable(room, need)
    if why:
        return why
    if room.starting >= start_parallel:
        return f"{room.starting} starts under way"
    return ""


def incapable(room: Room, need: Need) -> str:
    """Return what the machine lacks for ``need``, however empty it is, or the empty text."""
    if need.cpu and room.cpu:
        why = cannot_run(room.cpu, need.cpu)
        if why:
            return why
    for what, needed, there in (
        ("network", need.networks, room.networks),
        ("storage", need.storage, room.storage),
    ):
        if needed and there is not None and not needed <= there:
            return f"it does not have the {what} {', '.join(sorted(needed - there))}"
    if not need.lockspaces <= room.lockspaces:
        return "it has not joined the lockspace of the VM's lease"
    return ""


def preference(room: Room) -> tuple[int, int, int, int, str]:
    """Sort key, best first: free memory, free vcpus, few HA VMs, few VMs, then the name."""
    return (-room.memory_mib, -room.vcpus, room.ha_guests, room.guests, room.name)


def take(room: Room, need: Need) -> Room:
    """Return ``room`` with ``need`` in it, for the next choice of the same pass."""
    return replace(
        room,
        memory_mib=room.memory_mib - need.memory_mib,
        vcpus=room.vcpus - need.vcpus,
        guests=room.guests + 1,
        starting=room.starting + 1,
        ha_guests=room.ha_guests + need.ha,
    )
