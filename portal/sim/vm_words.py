"""Fault words about guests that do not simply run or end: locks, storage errors, pauses."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hosts.domain.looks import GuestState
from portal.sim.scene import Scene, Word
from portal.sim.world import World


def fail_storage(world: World, host: str, vm: str) -> None:
    """Let a VM's storage give errors on a host: a copy that runs there is stopped."""
    machine, uuid = world.hosts[host], world.vms[vm].uuid
    machine.failing.add(uuid)
    guest = machine.guests.get(uuid)
    if machine.alive and guest is not None and guest.state is GuestState.RUNNING:
        machine.io_error(uuid)


def mend_storage(world: World, host: str, vm: str) -> None:
    """Let a VM's storage work again on a host; a copy that was stopped stays so."""
    world.hosts[host].failing.discard(world.vms[vm].uuid)


def _io_error(scene: Scene, vm: str, s: float = 0) -> None:
    """Its storage fails where it runs, for ``s`` seconds or until all is repaired."""
    world = scene.world
    for host in world.where(vm):
        fail_storage(world, host, vm)
        if s:
            world.line.after(float(s), lambda host=host: mend_storage(world, host, vm))  # type: ignore[misc]  # binds the loop's host


def _shutdown_host(scene: Scene, host: str, s: float) -> None:
    """A host goes down by itself: it shuts its guests down, and is off ``s`` seconds later."""
    world = scene.world
    machine = world.hosts[host]
    if not machine.alive:
        return
    for uuid, guest in list(machine.guests.items()):
        if guest.executes:
            machine.guest_shutdown(uuid)
    life = world.life_of(host)
    world.line.after(
        float(s), lambda: world.power_off(host) if world.life_of(host) == life else None
    )


def _unkillable(scene: Scene, host: str, s: float = 0) -> None:
    """No guest's process ends there at a destroy, for ``s`` seconds or until all is repaired."""
    machine = scene.world.hosts[host]
    machine.unkillable = True
    if s:
        scene.world.line.after(float(s), lambda: setattr(machine, "unkillable", False))


def _autostart(scene: Scene, vm: str) -> None:
    """Somebody lets the host start this guest by itself at each boot, past the portal."""
    world, uuid = scene.world, scene.world.vms[vm].uuid
    for host in world.where(vm):
        guests = world.hosts[host].guests
        guests[uuid] = replace(guests[uuid], autostart=True)
        world.outside.add((vm, host))


def _hibernate(scene: Scene, host: str) -> None:
    scene.world.hibernate(host)


def _same_disk(scene: Scene, vm: str, other: str) -> None:
    """Somebody lets a VM write to another one's disk where it runs, past the portal."""
    world = scene.world
    disk, uuid = world.vms[other].disk, world.vms[vm].uuid
    for host in world.where(vm):
        guests = world.hosts[host].guests
        if disk not in guests[uuid].disks:
            guests[uuid] = replace(guests[uuid], disks=(*guests[uuid].disks, disk))
            world.outside.add((vm, host))


def _protects(word: str) -> Any:
    """A person's word after which other VMs are under HA than before."""

    def act(scene: Scene, **args: Any) -> None:
        scene.portal.admin(word, args)
        scene.ha.clear()
        scene.ha.update(scene.portal.view().ha)

    return act


def _admin(word: str, **more: Any) -> Any:
    return lambda scene, **args: scene.portal.admin(word, {**more, **args})


def _migration_fails(scene: Scene, vm: str, times: int, leaves: bool = False) -> None:
    """Its next migrations fail at their end; ``leaves``: the target keeps what it has received."""
    transfers = scene.world.transfers
    transfers.failing[vm] = int(times)
    (transfers.leaving.add if leaves else transfers.leaving.discard)(vm)


VM_WORDS: Mapping[str, Word] = {
    "vm.same_disk": Word(_same_disk, ("vm", "other")),
    "host.hibernate": Word(_hibernate, ("host",)),
    "admin.add_vm": Word(_protects("add_vm"), ("vm",), ("memory_mib", "vcpus", "ha", "priority")),
    "admin.remove_vm": Word(_protects("remove_vm"), ("vm",)),
    "admin.ha": Word(_protects("ha"), ("vm",), ("enabled", "priority")),
    "vm.io_error_pause": Word(_io_error, ("vm",), ("s",)),
    "vm.lock": Word(_admin("lock", s=0), ("vm",), ("s",)),
    "vm.unlock": Word(_admin("unlock"), ("vm",)),
    "host.unkillable": Word(_unkillable, ("host",), ("s",)),
    "host.autostart": Word(_autostart, ("vm",)),
    "admin.power_on": Word(lambda scene, host: scene.world.power_on(host), ("host",)),
    "host.shutdown": Word(_shutdown_host, ("host", "s")),
    "admin.mark_disks": Word(_admin("mark_disks"), ("vm", "why")),
    "admin.suspend": Word(_admin("suspend"), ("vm",)),
    "admin.migrate": Word(_admin("migrate"), ("vm", "to")),
    "lease.add": Word(_admin("lease_add"), ("vm", "domain")),
    "lease.move": Word(_admin("lease_move"), ("vm", "domain")),
    "lease.remove": Word(_admin("lease_remove"), ("vm", "domain")),
    "vm.migration_fails": Word(_migration_fails, ("vm", "times"), ("leaves",)),
    "vm.post_copy_fails": Word(
        lambda scene, vm: scene.world.transfers.break_post_copy(vm), ("vm",)
    ),
    "libvirt.external_migrate": Word(
        lambda scene, vm, to: scene.world.transfers.from_outside(vm, to), ("vm", "to")
    ),
    "admin.resume": Word(_admin("resume"), ("vm",)),
}
