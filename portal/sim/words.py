"""The fault words: what can happen to a simulated data centre, each with its arguments."""

from collections.abc import Callable, Mapping
from typing import Any

from fencing.domain.power import PowerState
from hosts.domain.looks import GuestReason, GuestState
from portal.sim.evidence_words import EVIDENCE_WORDS
from portal.sim.scene import Scene, Word
from portal.sim.service_words import SERVICE_WORDS
from portal.sim.ssh_words import SSH_WORDS
from portal.sim.vm_words import VM_WORDS

#: Arguments that are no names in Python.
_AS_NAMED = {"with": "other", "from": "source"}


def do(scene: Scene, word: str, args: Mapping[str, Any]) -> None:
    """Let ``word`` happen."""
    WORDS[word].act(scene, **{_AS_NAMED.get(key, key): args[key] for key in args})
    scene.world.version += 1


def _hang(scene: Scene, host: str, mute: bool = False) -> None:
    scene.world.hosts[host].freeze(mute=bool(mute))


def _thaw(scene: Scene, host: str) -> None:
    scene.world.hosts[host].thaw()


def _restart_libvirtd(scene: Scene, host: str, forget: bool = False) -> None:
    scene.world.restart_libvirtd(host, forget=bool(forget))


def _isolate(scene: Scene, host: str) -> None:
    scene.world.hosts[host].isolated = True


def _rejoin(scene: Scene, host: str) -> None:
    scene.world.hosts[host].isolated = False


def _cut(scene: Scene, host: str) -> None:
    """Host and BMC lose their supply together."""
    _set_bmc(scene, host, reachable=False, on=False, off_at=None)
    scene.world.cut(host)


def _restore(scene: Scene, host: str) -> None:
    _set_bmc(scene, host, reachable=True, on=True)
    scene.world.press_on(host)


def _set_bmc(scene: Scene, host: str, **changes: Any) -> None:
    bmc = scene.world.bmcs.get(host)
    if bmc is not None:
        for name, value in changes.items():
            setattr(bmc, name, value)


def mend(scene: Scene, host: str) -> None:
    """Let a BMC be as new: reachable, truthful, quick."""
    bmc = scene.world.bmcs.get(host)
    if bmc is not None and bmc.lie is PowerState.OFF and bmc.identified:
        scene.world.lied_ms[host] = scene.world.line.ms
    _set_bmc(
        scene, host, reachable=True, refuses=False, lie=None, identified=True, slow_seconds=0.0
    )


def _bmc(**changes: Any) -> Callable[..., None]:
    return lambda scene, host: _set_bmc(scene, host, **changes)


def _slow_off(scene: Scene, host: str, s: float, says: str = "on") -> None:
    """The relay opens ``s`` seconds after an accepted off; until then the BMC ``says`` so."""
    _set_bmc(scene, host, slow_seconds=float(s), slow_state=PowerState(says))


def _lie(scene: Scene, host: str, answer: str, identified: bool = True) -> None:
    _set_bmc(scene, host, lie=PowerState(answer), identified=bool(identified))


def _swap(scene: Scene, host: str, other: str) -> None:
    scene.world.swap_bmcs(host, other)


def _crash_vm(scene: Scene, vm: str) -> None:
    for host in scene.world.where(vm):
        scene.world.hosts[host].crash_guest(scene.world.vms[vm].uuid)


def _guest_shutdown(scene: Scene, vm: str) -> None:
    for host in scene.world.where(vm):
        scene.world.hosts[host].guest_shutdown(scene.world.vms[vm].uuid)
        scene.on_purpose[vm] = scene.world.line.ms


def _start_fails(scene: Scene, vm: str, host: str, times: int) -> None:
    scene.world.hosts[host].fail_starts[scene.world.vms[vm].uuid] = int(times)


def _start_hangs(scene: Scene, vm: str, host: str, s: float) -> None:
    world, uuid = scene.world, scene.world.vms[vm].uuid
    world.hosts[host].slow_starts.add(uuid)
    world.line.after(float(s), lambda: world.finish_create(host, uuid))


def _external_start(scene: Scene, vm: str, host: str, bare: bool = False) -> None:
    scene.world.start_outside(vm, host, bare=bare)


def _external_destroy(scene: Scene, vm: str) -> None:
    for host in scene.world.where(vm):
        uuid = scene.world.vms[vm].uuid
        scene.world.hosts[host].set_guest(uuid, GuestState.SHUT_OFF, GuestReason.DESTROYED)
        scene.on_purpose[vm] = scene.world.line.ms


def _confirm(scene: Scene, host: str, truthful: bool = True) -> None:
    there = (*scene.world.copies(), *scene.world.storage.under_way())
    alive = any(copy.host == host for copy in there)
    if truthful and alive:
        return  # who looks at the machine first sees that it runs
    if alive:
        scene.world.misled_ms[host] = scene.world.line.ms
    scene.portal.admin("confirm_rebooted", {"host": host})


def _start(scene: Scene, vm: str) -> None:
    before = len(scene.portal.view().runs)
    scene.portal.admin("start", {"vm": vm})
    if len(scene.portal.view().runs) > before:  # it may be refused
        scene.on_purpose.pop(vm, None)


def _end(word: str) -> Callable[..., None]:
    def act(scene: Scene, vm: str) -> None:
        scene.portal.admin(word, {"vm": vm})
        _, wanted, _ = scene.portal.view().vms[vm]
        if not wanted:  # the portal refuses to stop what does not run
            scene.on_purpose[vm] = scene.world.line.ms

    return act


def _depart(word: str) -> Callable[..., None]:
    def act(scene: Scene, host: str) -> None:
        scene.portal.admin(word, {"host": host})
        if any(op == f"{word.partition('_')[0]} {host}" for op in scene.portal.view().open_ops):
            scene.departing.add(host)  # it may be refused
            scene.departed.add(host)

    return act


def _deaf(scene: Scene, vm: str) -> None:
    """The guest ignores the power button."""
    for host in scene.world.hosts.values():
        host.deaf.add(scene.world.vms[vm].uuid)


def _admin(word: str) -> Callable[..., None]:
    return lambda scene, **args: scene.portal.admin(word, args)


def _arm(scene: Scene) -> None:
    scene.armed, scene.observed = True, scene.observed + 1
    scene.portal.admin("arm", {})


def _observe(scene: Scene, s: float = 0) -> None:
    """Only observe, for ``s`` seconds or until somebody arms it."""
    scene.portal.admin("observe", {"s": float(s)})
    if scene.portal.view().armed:
        return  # nobody could write it down
    scene.armed, scene.observed = False, scene.observed + 1
    mine = scene.observed

    def over() -> None:
        scene.armed = scene.armed or scene.observed == mine

    if s:
        scene.world.line.after(float(s), over)


def _crash_engine(scene: Scene, after: int = 0, s: float = 0, engine: str = "") -> None:
    """Die at the ``after``-th step from now: commits and hardware calls, or intentions.

    Whoever takes that step dies; an ``engine`` that is named dies at once, between two
    steps.  With ``s`` it is back so many seconds after its death, else with ``engine.start``.
    """
    portal, line = scene.portal, scene.world.line
    back = (lambda: line.after(float(s), portal.start_engines)) if s else None
    portal.engines.on_death = back  # of this death: an earlier one's is over
    if engine:
        portal.kill(engine)
    else:
        portal.crash_in = int(after)


def _start_engine(scene: Scene) -> None:
    scene.portal.crash_in = None
    scene.portal.start_engines()


def _delay(scene: Scene, s: float) -> None:
    scene.portal.engines.extra_delay_s = float(s)


def _duplicate(scene: Scene, times: int = 10) -> None:
    scene.portal.engines.double_next = int(times)


def _on_host(method: str) -> Word:
    return Word(lambda scene, host: getattr(scene.world, method)(host), ("host",))


def _restore_old(scene: Scene, s: float) -> None:
    """Somebody puts back the database of ``s`` seconds ago."""
    scene.portal.restore(scene.world.line.ms - round(float(s) * 1000))


WORDS: Mapping[str, Word] = {
    "host.power_off": _on_host("power_off"),
    "host.power_on": _on_host("power_on"),
    "host.panic": _on_host("panic"),
    "host.reboot": _on_host("reboot"),
    "host.hang": Word(_hang, ("host",), ("mute",)),
    "host.thaw": Word(_thaw, ("host",)),
    "host.libvirtd_restart": Word(_restart_libvirtd, ("host",), ("forget",)),
    "host.isolate": Word(_isolate, ("host",)),
    "host.rejoin": Word(_rejoin, ("host",)),
    "power.cut": Word(_cut, ("host",)),
    "power.restore": Word(_restore, ("host",)),
    "bmc.fail": Word(_bmc(reachable=False), ("host",)),
    "bmc.repair": Word(mend, ("host",)),
    "bmc.auth_fail": Word(_bmc(refuses=True), ("host",)),
    "bmc.slow_off": Word(_slow_off, ("host", "s"), ("says",)),
    "bmc.lie": Word(_lie, ("host", "answer"), ("identified",)),
    "bmc.swap": Word(_swap, ("host", "with")),
    "vm.crash": Word(_crash_vm, ("vm",)),
    "vm.guest_shutdown": Word(_guest_shutdown, ("vm",)),
    "vm.start_fails": Word(_start_fails, ("vm", "host", "times")),
    "vm.start_hangs": Word(_start_hangs, ("vm", "host", "s")),
    "libvirt.external_start": Word(_external_start, ("vm", "host"), ("bare",)),
    "libvirt.external_destroy": Word(_external_destroy, ("vm",)),
    "admin.confirm_rebooted": Word(_confirm, ("host",), ("truthful",)),
    "admin.start": Word(_start, ("vm",)),
    "admin.stop": Word(_end("stop"), ("vm",)),
    "admin.shutdown": Word(_end("shutdown"), ("vm",)),
    "admin.maintenance": Word(_admin("maintenance"), ("host",)),
    "admin.activate": Word(_admin("activate"), ("host",)),
    "admin.shutdown_host": Word(_depart("shutdown_host"), ("host",)),
    "admin.reboot_host": Word(_depart("reboot_host"), ("host",)),
    "admin.start_host": Word(_admin("power_on"), ("host",)),
    "vm.deaf": Word(_deaf, ("vm",)),
    "admin.observe": Word(_observe, (), ("s",)),
    "admin.arm": Word(_arm),
    "admin.set_policy": Word(_admin("set_policy"), ("policy",)),
    "engine.crash": Word(_crash_engine, (), ("after", "s", "engine")),
    "db.restore_old": Word(_restore_old, ("s",)),
    "admin.accept_database": Word(_admin("accept_database")),
    "engine.start": Word(_start_engine),
    "task.delay": Word(_delay, ("s",)),
    "task.duplicate": Word(_duplicate, (), ("times",)),
    **EVIDENCE_WORDS,
    **VM_WORDS,
    **SERVICE_WORDS,
    **SSH_WORDS,
}
