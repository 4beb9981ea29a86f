"""Random fault schedules: the same seed, the same schedule, for ever."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from portal.sim import many, soft
from portal.sim.arguments import DOMAIN, LATE_VM, LEASE_DOMAINS, SECOND, Draw
from portal.sim.scenario import AffinitySpec, Cluster, EventSpec, HostSpec, Scenario, VmSpec

#: Faults by weight; each draws its arguments, and most are undone some time later.
_UNDONE_BY = {
    "host.hang": "host.thaw",
    "host.isolate": "host.rejoin",
    "power.cut": "power.restore",
    "host.power_off": "host.power_on",
    "bmc.fail": "bmc.repair",
    "bmc.auth_fail": "bmc.repair",
    "bmc.slow_off": "bmc.repair",
    "bmc.lie": "bmc.repair",
    "admin.maintenance": "admin.activate",
    "admin.observe": "admin.arm",
    "engine.crash": "engine.start",
    "task.delay": "task.delay",
    "storage.lose": "storage.regain",
    "engine.isolate": "engine.rejoin",
    "site.power_cut": "site.power_restore",
    "admin.shutdown_host": "admin.start_host",
    "vm.lock": "vm.unlock",
    "admin.suspend": "admin.resume",
    "host.shutdown": "host.power_on",
    "host.hibernate": "host.power_on",
    "admin.remove_vm": "admin.add_vm",
    "admin.add_vm": "admin.start",
    "admin.ha": "admin.ha",
}
WEIGHTS: dict[str, int] = {
    "host.power_off": 10,
    "host.panic": 10,
    "host.isolate": 14,
    "host.hang": 10,
    "host.reboot": 6,
    "host.libvirtd_restart": 4,
    "power.cut": 5,
    "bmc.fail": 6,
    "bmc.auth_fail": 2,
    "bmc.slow_off": 4,
    "bmc.lie": 3,
    "bmc.swap": 3,
    "vm.crash": 6,
    "vm.guest_shutdown": 4,
    "vm.start_fails": 4,
    "vm.start_hangs": 6,
    "libvirt.external_start": 2,
    "libvirt.external_destroy": 2,
    "admin.confirm_rebooted": 8,
    "admin.start": 5,
    "admin.stop": 3,
    "admin.shutdown": 2,
    "admin.maintenance": 2,
    "admin.observe": 1,
    "engine.crash": 5,
    "task.delay": 3,
    "task.duplicate": 3,
}
#: With these, storage heartbeats, start orders and affinity rules where everything is drawn.
EVERYTHING: dict[str, int] = WEIGHTS | {
    "storage.lose": 3,
    "storage.stall": 2,
    "storage.stale_read": 2,
    "sanlock.stall": 3,
    "sanlock.crash": 1,
    "sanlock.no_watchdog": 1,
    "kdump.message": 4,
    "host.lose_marker": 1,
    "engine.isolate": 2,
    "site.power_cut": 1,
    "admin.shutdown_host": 2,
    "admin.reboot_host": 3,
    "vm.deaf": 1,
    "vm.io_error_pause": 3,
    "vm.lock": 3,
    "admin.suspend": 1,
    "host.shutdown": 2,
    "host.hibernate": 3,
    "host.clock_skew": 1,
    "engine.clock_skew": 1,
    "engine.pause": 5,
    "redis.lose": 3,
    "db.lose": 3,
    "storage.delay_write": 2,
    "vm.same_disk": 1,
    "admin.add_vm": 2,
    "admin.remove_vm": 2,
    "admin.ha": 2,
    "admin.migrate": 6,
    "vm.migration_fails": 2,
    "vm.post_copy_fails": 1,
    "libvirt.external_migrate": 2,
}
_RULES = [("separate", True), ("separate", False), ("together", False), ("hosts", False)]
UNTIL_S = 120.0
#: Where VMs have leases, what sanlock decides after 140 s is seen as well.
LEASED_UNTIL_S = 300.0
MEMORY_MIB = 16384


def schedule(
    seed: int,
    *,
    hosts: int = 0,
    vms: int = 0,
    weights: dict[str, int] | None = None,
    policy: dict[str, Any] | None = None,
    engines: int = 0,
    crashes: bool = False,
) -> Scenario:
    """Return the schedule of ``seed``; 0 hosts, VMs or engines: as many as it draws.

    Without ``weights`` everything is drawn: all words, policies, orders and rules.
    With ``crashes`` one to three engines die near what happens, and come back.
    """
    random = Random(seed)  # noqa: S311 - repeatable luck, no secret
    names = _named("node", hosts or random.randint(2, 4))
    guests = _named("vm", vms or random.randint(1, 5))
    everything, words = weights is None, weights or EVERYTHING
    stored = _has_storage(random, words)
    words, drawn = words if stored else _without_storage(words), Draw(random, names, guests)
    events = [*_events(random, words, drawn), *(soft.events(seed, names) if everything else ())]
    homes, inside = list(_homes(random, names, guests)), everything and seed % 10 == 0
    homes[0] = replace(homes[0], portal=inside)  # the portal runs in one of the VMs
    nodes = many.names(seed, 1 if inside else engines or int(not everything))
    leased = stored and everything and _is_leased(seed)
    if leased:
        homes, events = list(_with_leases(seed, homes)), [*events, *_lease_words(seed, guests)]
    events.extend(many.events(seed, events, nodes, crashes=crashes))
    return Scenario(
        name=f"seed {seed}",
        hosts=tuple(_machines(seed, names, domains=stored + _moves(events), leased=leased)),
        vms=(*(_ordered(seed, homes) if everything else homes), *_late(events)),
        events=tuple(sorted(events, key=lambda event: event.at)),
        until=LEASED_UNTIL_S if leased else UNTIL_S,
        cluster=Cluster(policy=policy or (_policy(seed, random) if everything else {})),
        affinity=tuple(_rules(seed, names, guests) if everything else ()),
        engines=nodes,
    )


def _named(kind: str, count: int) -> list[str]:
    return [f"{kind}{number}" for number in range(1, count + 1)]


def _is_leased(seed: int) -> bool:
    return Random(f"leases {seed}").random() < 0.5  # noqa: S311 - repeatable luck, no secret


def _with_leases(seed: int, vms: Sequence[VmSpec]) -> Iterator[VmSpec]:
    """Two VMs of three have a lease."""
    for number, vm in enumerate(vms, seed):
        yield replace(vm, lease=DOMAIN) if number % 3 else vm


def _lease_words(seed: int, vms: Sequence[str]) -> Iterator[EventSpec]:
    """In one leased schedule of three, leases are given, moved and taken away meanwhile."""
    random = Random(f"lease words {seed}")  # noqa: S311 - repeatable luck of its own, no secret
    for _ in range(random.choice([0, 0, 1, 2, 3]) if random.random() < 0.5 else 0):
        word = random.choice(["lease.add", "lease.move", "lease.move", "lease.remove"])
        args = {"vm": random.choice(vms), "domain": LEASE_DOMAINS[word]}
        yield EventSpec(round(random.uniform(3, UNTIL_S), 1), word, args)


def _moves(events: Sequence[EventSpec]) -> bool:
    return any(event.do == "lease.move" for event in events)


def _machines(seed: int, names: Sequence[str], *, domains: int, leased: bool) -> Iterator[HostSpec]:
    """Where there are leases, a watchdog is missing on one host of four, and known to be."""
    for number, name in enumerate(names, seed):
        watched = not leased or number % 4 > 0
        yield HostSpec(name, storage=(DOMAIN, SECOND)[:domains], watchdog=watched)


def _late(events: Sequence[EventSpec]) -> Iterator[VmSpec]:
    """Yield the VM that somebody enters while all this happens."""
    if any(event.args.get("vm") == LATE_VM for event in events):
        yield VmSpec(LATE_VM, state="absent")


def _events(random: Random, words: dict[str, int], draw: Draw) -> Iterator[EventSpec]:
    """Draw one to six faults, and the ends of most of them."""
    for _ in range(random.randint(1, 6)):
        word = random.choices(list(words), list(words.values()))[0]
        at = round(random.uniform(3, UNTIL_S - 30), 1)
        args = draw.args(word)
        if word == "admin.remove_vm":
            yield EventSpec(max(1.0, round(at - 5, 1)), "admin.stop", args)
        yield EventSpec(at, word, args)
        yield from _undone(random, at, word, args)


#: Words that need a storage domain.
_ON_STORAGE = frozenset({"storage.lose", "storage.stall", "storage.stale_read"})


def _without_storage(words: dict[str, int]) -> dict[str, int]:
    return {word: weight for word, weight in words.items() if word not in _ON_STORAGE}


def _has_storage(random: Random, words: dict[str, int]) -> bool:
    """Half of the clusters have a heartbeat where it can be lost; all where it is meant to be."""
    meant = bool(_ON_STORAGE & words.keys())
    return meant and (words is not EVERYTHING or random.random() < 0.5)


def _policy(seed: int, random: Random) -> dict[str, Any]:
    """Some clusters wait for crash dumps, and some watch the disks."""
    return {
        "kdump_wait": random.choice([0, 0, 60]),
        "activity_check": random.choice(["off", "off", "on"]),
        "activity_samples": 3,
        "activity_interval": 5,
        "shutdown_policy": random.choice(["migrate", "failover", "freeze", "conditional"]),
        "guest_stop_wait": 20,
        "guest_stop_refused": random.choice(["give_up", "stop"]),
        **soft.policy(seed),
    }


def _rules(seed: int, hosts: Sequence[str], vms: Sequence[str]) -> Iterator[AffinitySpec]:
    """Draw a rule for one schedule in three, which a whole cluster can always keep."""
    random = Random(f"affinity {seed}")  # noqa: S311 - repeatable luck of its own, no secret
    if len(vms) > 1 and random.random() < 1 / 3:
        kind, hard = random.choice(_RULES)
        named = {host: random.randint(1, 2) for host in hosts[:2]} if kind == "hosts" else {}
        yield AffinitySpec(kind, tuple(random.sample(list(vms), 2)), hard, named, "rule1")


def _homes(random: Random, hosts: Sequence[str], vms: Sequence[str]) -> Iterator[VmSpec]:
    """Give every VM a host on which it fits."""
    free = dict.fromkeys(hosts, MEMORY_MIB)
    for name in vms:
        size = random.choice([512, 1024, 6000])
        fits = [host for host in hosts if free[host] >= size]
        home, size = (random.choice(fits), size) if fits else (random.choice(hosts), 64)
        free[home] -= size
        yield VmSpec(name, home, size)


def _ordered(seed: int, vms: list[VmSpec]) -> Iterator[VmSpec]:
    """Give a third of all schedules tiers and dependencies."""
    random = Random(f"order {seed}")  # noqa: S311 - repeatable luck, no secret
    plain = random.random() < 2 / 3
    for number, vm in enumerate(vms):
        first = [item.name for item in vms[:number] if random.random() < 0.3]
        tier, delay = random.choice([1, 2, 2, 3]), random.choice([0, 0, 5, 20])
        if plain:
            yield vm
        else:
            yield replace(vm, start_tier=tier, starts_after=tuple(first), delay=delay)


def _undone(random: Random, at: float, word: str, args: dict[str, Any]) -> list[EventSpec]:
    """Most faults end some time; an engine always comes back."""
    back = _UNDONE_BY.get(word)
    if back is None or (word != "engine.crash" and random.random() < 0.2):
        return []
    later = round(at + random.choice([0.5, 2, 6, 15, 40, 70]) * random.uniform(0.5, 1.5), 1)
    if word == "engine.crash":
        return [EventSpec(round(at + random.uniform(0.1, 20), 1), back)]
    if word == "task.delay":
        return [EventSpec(later, back, {"s": 0})]
    if word == "admin.ha":
        return [EventSpec(later, back, {**args, "enabled": True, "priority": 60})]
    same: dict[str, Any] = {key: args[key] for key in ("host", "domain", "vm") if key in args}
    return [EventSpec(later, back, same)]
