"""Whether HA would restart a VM elsewhere if its host died now, and else why not.  Pure."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shelter:
    """What HA can do for a VM, as far as the rows tell.

    ``host`` is where its run is open, "" when it does not run.  ``bmcs`` counts that
    host's power controllers, ``sure`` those that are trusted and proven its own.
    Whether another host has room is not asked here.
    """

    ha: bool
    quarantined: bool
    has_xml: bool
    armed: bool
    cluster: str
    wanted_up: bool = True
    disks_illegal: str = ""
    suspended: bool = False
    host: str = ""
    host_ha: bool = True
    bmcs: int = 0
    sure: int = 0


def why_not(vm: Shelter) -> tuple[str, ...]:
    """Return why this VM is not protected; nothing means that it is."""
    return tuple(_reasons(vm))


def _reasons(vm: Shelter) -> Iterator[str]:
    if not vm.ha:
        yield "HA is off for this VM"
    if not vm.armed:
        yield f"cluster {vm.cluster} only observes: arm it"
    if vm.quarantined:
        yield "it is quarantined: two copies were seen, a person must choose"
    yield from _held(vm)
    if not vm.has_xml:
        yield "its definition (XML) is missing: no other host could start it"
    if not vm.wanted_up:
        yield "it is wanted down: nobody starts it"
    if vm.host:
        yield from _of_host(vm)


def _held(vm: Shelter) -> Iterator[str]:
    if vm.disks_illegal:
        yield f"its disks must not be used: {vm.disks_illegal}"
    if vm.suspended:
        yield "it is suspended by a person"


def _of_host(vm: Shelter) -> Iterator[str]:
    if not vm.host_ha:
        yield f"HA is off for its host, {vm.host}"
    if not vm.bmcs:
        yield f"{vm.host} has no power controller: only a person could prove it off"
    elif not vm.sure:
        yield f"no power controller of {vm.host} is trusted and proven to be its own"
