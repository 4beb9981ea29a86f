"""The end of all faults: everything is repaired, and what must then come true (I6)."""

from collections.abc import Iterator

from fencing.domain.alerts import AlertKind
from portal.sim.portal import View
from portal.sim.scene import Scene
from portal.sim.words import mend
from portal.sim.world import World


def repair(scene: Scene) -> None:
    """Undo every fault, as diligent people would."""
    world, portal = scene.world, scene.portal
    for address, home in list(world.wired_to.items()):
        if world.wired_to[address] != address:
            world.swap_bmcs(address, home)
    for name in world.hosts:
        mend(scene, name)
        _revive(world, name)
    world.engine_cut_off = False
    world.ssh.fails.clear()
    world.transfers.failing.clear()
    world.transfers.leaving.clear()
    world.storage.mend()
    world.version += 1
    portal.crash_in = None
    portal.engines.mend()
    portal.start_engines()
    portal.admin("arm", {})
    scene.armed = True
    for vm in world.vms:
        portal.admin("unlock", {"vm": vm})
    for name in world.hosts:
        portal.admin("trust", {"host": name})
    bring_back(scene)


def bring_back(scene: Scene) -> None:
    """Use again what a person has shut down, as soon as that is over; start the portal's VM."""
    _start_portal(scene.world)
    for name in sorted(scene.departed - scene.departing - scene.brought_back):
        scene.portal.admin("power_on", {"host": name})
        scene.portal.admin("activate", {"host": name})
        scene.brought_back.add(name)


def _start_portal(world: World) -> None:
    """Nobody but a person starts the VM that the portal itself runs in."""
    own = world.own_vm
    if not own or any(copy.vm == own and copy.writes for copy in world.copies()):
        return
    homes = [name for name, host in world.hosts.items() if host.alive and world.guest(own, name)]
    if homes:
        world.start_outside(own, homes[0])


def _revive(world: World, name: str) -> None:
    host = world.hosts[name]
    host.isolated = False
    host.fail_starts.clear()
    host.deaf.clear()
    host.failing.clear()
    host.unkillable = False
    if host.hung:
        host.thaw()
    world.forgotten[name].clear()
    for uuid in list(host.slow_starts):
        world.finish_create(name, uuid)
    if not host.powered:
        world.power_on(name)
    elif not host.kernel:
        world.reboot(name)


def unfinished(scene: Scene) -> list[str]:
    """Return what has not come true yet, in words."""
    return list(_unfinished(scene, scene.portal.view()))


def _behind(world: World, resting: set[str]) -> set[str]:
    """Return those that wait for one of these: of a later tier, or to start after it."""
    found = {item.pk: item for name, item in world.vms.items() if name in resting}
    while more := {
        vm.pk: vm
        for vm in world.vms.values()
        if vm.pk not in found
        and (
            found.keys() & set(vm.starts_after)
            or any(item.start_tier < vm.start_tier for item in found.values())
        )
    }:
        found |= more
    return {item.name for item in found.values()}


def _unfinished(scene: Scene, view: View) -> Iterator[str]:
    if any(kind == AlertKind.FORGETFUL_DATABASE for kind, *_ in view.alerts):
        return  # nothing may be started until a person has decided which portal is right
    excuses = (AlertKind.VM_DESTROYED, AlertKind.NO_ROOM, AlertKind.VM_HELD)
    resting = {vm for kind, _, vm, _ in view.alerts if kind in excuses}
    resting.update(scene.on_purpose)
    resting |= _behind(scene.world, resting)
    for name, vm in scene.world.vms.items():
        _, wanted, quarantined = view.vms[name]
        if name not in scene.ha or not wanted or quarantined or name in resting:
            continue
        where = scene.world.where(name)
        opened = [run.host for run in view.runs if run.vm == name and run.proof is None]
        if len(where) != 1 or where != opened:
            yield f"{name} executes on {where or 'no host'}, its run is open on {opened or 'none'}"
        elif vm.resume_behaviour == "auto_resume" and scene.world.is_failing(name, where[0]):
            yield f"{name} is still stopped by its storage on {where[0]}"
    yield from _machines(scene, view)


def _machines(scene: Scene, view: View) -> Iterator[str]:
    for name, (status, _) in view.statuses.items():
        rests = status == "down" and name in view.off_by_wish
        if not rests and status not in ("up", "maintenance", "preparing_for_maintenance"):
            yield f"{name} is {status}"
    held = any(quarantined for _, _, quarantined in view.vms.values())
    for vm, host in scene.world.transfers.waiting():
        if not view.vms[vm][2]:
            yield f"{host} still receives {vm}"
    for op in view.open_ops:
        waits = op.startswith(("migrate ", "adopt ", "reboot ", "shutdown "))
        if op.startswith(("lease_move ", "lease_remove ")):
            continue  # a slot is given back when the run that holds it is over
        if not (held and waits):  # those go on when a person has chosen
            yield f"operation {op} is open"
