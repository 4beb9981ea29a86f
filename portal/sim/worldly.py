"""What a simulated world is made of besides its machines: VMs and their executing copies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorldVm:
    """One VM of the world: what cannot change."""

    pk: int
    name: str
    uuid: str
    xml: str
    disk: str
    memory_mib: int
    vcpus: int
    ha: bool
    priority: int
    start_tier: int = 2
    starts_after: tuple[int, ...] = ()
    start_delay_s: float = 0
    cpu: str = ""
    networks: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()
    failback: bool = False
    resume_behaviour: str = "auto_resume"
    disks_illegal: str = ""
    lease: str = ""  # storage domain


@dataclass(frozen=True, slots=True)
class Copy:
    """One executing copy of a VM."""

    vm: str
    host: str
    generation: int | None
    writes: bool
    disks: tuple[str, ...] = ()
