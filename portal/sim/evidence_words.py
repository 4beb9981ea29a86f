"""Fault words about evidence: heartbeats, crash dumps, links, and the engine's own network."""

from collections.abc import Mapping
from functools import partial

from portal.sim.scene import Scene, Word
from portal.sim.vm_words import fail_storage, mend_storage


def _lose(scene: Scene, host: str, domain: str) -> None:
    scene.world.storage.memory.domains[domain].out_of_reach.add(host)
    for vm in _stored_in(scene, domain):
        fail_storage(scene.world, host, vm)


def _regain(scene: Scene, host: str, domain: str) -> None:
    scene.world.storage.memory.domains[domain].out_of_reach.discard(host)
    for vm in _stored_in(scene, domain):
        mend_storage(scene.world, host, vm)


def _stored_in(scene: Scene, domain: str) -> list[str]:
    return [name for name, vm in scene.world.vms.items() if domain in vm.storage]


def _stall(scene: Scene, domain: str, s: float) -> None:
    there = scene.world.storage.memory.domains[domain]
    there.stalled = True

    def go_on() -> None:
        there.stalled = False

    scene.world.line.after(float(s), go_on)


def _stale_read(scene: Scene, reader: str, s: float = 0) -> None:
    """What this host reads is from its cache, for ``s`` seconds or until all is repaired."""
    memory = scene.world.storage.memory
    memory.freeze(reader)
    if s:
        scene.world.line.after(float(s), lambda: memory.thaw(reader))


def _sanlock_stall(scene: Scene, host: str, s: float) -> None:
    stopped = scene.world.storage.stopped
    stopped.add(host)
    scene.world.line.after(float(s), lambda: stopped.discard(host))


def _sanlock_crash(scene: Scene, host: str) -> None:
    scene.world.storage.stopped.add(host)


def _no_watchdog(scene: Scene, host: str) -> None:
    """The watchdog of a host would not reset it, whatever the portal was told of it."""
    scene.world.storage.sanlock.no_watchdog.add(host)


def _sanlock_release(scene: Scene, host: str) -> None:
    scene.world.storage.release(host)


def _delay_write(scene: Scene, s: float) -> None:
    """From now on the last writes of a machine that dies reach its disks ``s`` seconds later."""
    scene.world.storage.delay_s = float(s)


def _skew_host(scene: Scene, host: str, s: float) -> None:
    """Its clock is wrong from now on: it marks what it writes with that time."""
    scene.world.storage.skew_s[host] = float(s)


def _kdump(scene: Scene, host: str, spoofed: bool = False) -> None:
    """A crash kernel's packet; only a crashed machine sends one from its own address."""
    machine = scene.world.hosts[host]
    crashed = machine.powered and not machine.kernel
    if scene.portal.engines.works and not scene.world.engine_cut_off and (crashed or spoofed):
        scene.portal.admin("kdump", {"host": host, "own_address": not spoofed})


def _lose_marker(scene: Scene, host: str) -> None:
    scene.world.hosts[host].marker = None


def _link(scene: Scene, source: str, to: str, *, cut: bool) -> None:
    """Between the engine and a host or its BMC (``bmc.HOST``), or a host and a domain."""
    world = scene.world
    if to in world.storage.memory.domains:
        (_lose if cut else _regain)(scene, source, to)
    elif to.startswith("bmc."):
        world.bmcs[to.removeprefix("bmc.")].reachable = not cut
    else:
        world.hosts[to].isolated = cut


def _cut_link(scene: Scene, source: str, to: str) -> None:
    _link(scene, source, to, cut=True)


def _heal_link(scene: Scene, source: str, to: str) -> None:
    _link(scene, source, to, cut=False)


def _site_power(scene: Scene, *, on: bool) -> None:
    """Every machine and its BMC at once."""
    world = scene.world
    for name in world.hosts:
        bmc = world.bmcs.get(name)
        if bmc is not None:
            bmc.reachable, bmc.on, bmc.off_at = on, on, None
        world.press_on(name) if on else world.cut(name)


def _engine_network(scene: Scene, engine: str = "", *, cut: bool) -> None:
    """All engines, or the one that is named, reach nobody: no host, no BMC, no witness."""
    world = scene.world
    if engine:
        scene.portal.engines.node(engine).cut_off = cut
        return
    world.engine_cut_off = cut
    for name, machine in world.hosts.items():
        machine.isolated = cut
        if name in world.bmcs:
            world.bmcs[name].reachable = not cut


EVIDENCE_WORDS: Mapping[str, Word] = {
    "storage.lose": Word(_lose, ("host", "domain")),
    "storage.regain": Word(_regain, ("host", "domain")),
    "storage.stall": Word(_stall, ("domain", "s")),
    "storage.stale_read": Word(_stale_read, ("reader",), ("s",)),
    "storage.delay_write": Word(_delay_write, ("s",)),
    "host.clock_skew": Word(_skew_host, ("host", "s")),
    "sanlock.stall": Word(_sanlock_stall, ("host", "s")),
    "sanlock.crash": Word(_sanlock_crash, ("host",)),
    "sanlock.no_watchdog": Word(_no_watchdog, ("host",)),
    "sanlock.release": Word(_sanlock_release, ("host",)),
    "kdump.message": Word(_kdump, ("host",), ("spoofed",)),
    "host.lose_marker": Word(_lose_marker, ("host",)),
    "link.cut": Word(_cut_link, ("from", "to")),
    "link.heal": Word(_heal_link, ("from", "to")),
    "site.power_cut": Word(lambda scene: _site_power(scene, on=False)),
    "site.power_restore": Word(lambda scene: _site_power(scene, on=True)),
    "engine.isolate": Word(partial(_engine_network, cut=True), (), ("engine",)),
    "engine.rejoin": Word(partial(_engine_network, cut=False), (), ("engine",)),
}
