"""Random fault schedules: the same seed, the same schedule, for ever."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

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
    "admin.migrate": 6,
    "vm.migration_fails": 2,
    "vm.post_copy_fails": 1,
    "libvirt.external_migrate": 2,
}
_RULES = [("separate", True), ("separate", False), ("together", False), ("hosts", False)]
_MANY = [1, 1, 2, 3]
UNTIL_S = 120.0
MEMORY_MIB = 16384
#: The storage domain of those schedules that have one.
DOMAIN = "shared1"


class _Draw:
    """One schedule in the making."""

    def __init__(self, random: Random, hosts: Sequence[str], vms: Sequence[str]) -> None:
        self.random, self.hosts, self.vms = random, hosts, vms

    def args(self, word: str) -> dict[str, Any]:
        """Draw what ``word`` needs."""
        random = self.random
        host, vm = random.choice(self.hosts), random.choice(self.vms)
        special: dict[str, Callable[[], dict[str, Any]]] = {
            "bmc.slow_off": lambda: {"host": host, **self._slowness()},
            "host.libvirtd_restart": lambda: {"host": host, "forget": random.random() < 0.5},
            "bmc.lie": lambda: {"host": host, "answer": "off", "identified": False},
            "bmc.swap": lambda: {"host": host, "with": self._other(host)},
            "vm.start_fails": lambda: {"vm": vm, "host": host, "times": random.randint(1, 3)},
            "vm.start_hangs": lambda: {"vm": vm, "host": host, "s": random.choice([5, 25, 60])},
            "libvirt.external_start": lambda: {"vm": vm, "host": host},
            "engine.crash": lambda: {"after": random.randint(0, 30)},
            "task.delay": lambda: {"s": random.choice([0.5, 2, 8])},
            "task.duplicate": lambda: {"times": random.randint(1, 50)},
            "admin.observe": lambda: random.choice([{}, {}, {"s": 10}, {"s": 30}]),
            "vm.io_error_pause": lambda: {"vm": vm, "s": random.choice([0, 5, 40])},
            "vm.lock": lambda: {"vm": vm, "s": random.choice([0, 20, 60])},
            "host.shutdown": lambda: {"host": host, "s": random.choice([1, 5, 30])},
            "admin.migrate": lambda: {"vm": vm, "to": host},
            "libvirt.external_migrate": lambda: {"vm": vm, "to": host},
            "vm.migration_fails": lambda: self._failing(vm),
            "engine.isolate": dict,
            "site.power_cut": dict,
            "storage.lose": lambda: {"host": host, "domain": DOMAIN},
            "storage.stall": lambda: {"domain": DOMAIN, "s": random.choice([5, 25, 60])},
            "storage.stale_read": lambda: {"reader": host, "s": random.choice([5, 30, 60])},
            "sanlock.stall": lambda: {"host": host, "s": random.choice([5, 30, 60])},
            "kdump.message": lambda: {"host": host, "spoofed": random.random() < 0.5},
        }
        if word in special:
            return special[word]()
        about_vm = word.startswith("vm.") or word in (
            "admin.start", "admin.stop", "admin.shutdown", "libvirt.external_destroy",
            "admin.suspend",
        )  # fmt: skip
        return {"vm": vm} if about_vm else {"host": host}

    def _slowness(self) -> dict[str, Any]:
        """Some BMCs say off a moment before the relay opens, others on until long after."""
        if self.random.random() < 0.4:
            return {"s": self.random.choice([1.5, 2]), "says": "off"}
        return {"s": self.random.choice([1, 5, 20, 60])}

    def _failing(self, vm: str) -> dict[str, Any]:
        times, leaves = self.random.randint(1, 2), self.random.random() < 0.3
        return {"vm": vm, "times": times, "leaves": leaves}

    def _other(self, host: str) -> str:
        return self.random.choice([name for name in self.hosts if name != host])


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
    names = [f"node{number}" for number in range(1, (hosts or random.randint(2, 4)) + 1)]
    guests = [f"vm{number}" for number in range(1, (vms or random.randint(1, 5)) + 1)]
    everything, words = weights is None, weights or EVERYTHING
    stored = _has_storage(random, words)
    if not stored:
        words = {word: weight for word, weight in words.items() if word not in _ON_STORAGE}
    events = list(_events(random, words, _Draw(random, names, guests)))
    homes = list(_homes(random, names, guests))
    events.extend(_crashes(seed, events) if crashes else ())
    return Scenario(
        name=f"seed {seed}",
        hosts=tuple(HostSpec(name, storage=(DOMAIN,) if stored else ()) for name in names),
        vms=tuple(_ordered(seed, homes) if everything else homes),
        events=tuple(sorted(events, key=lambda event: event.at)),
        until=UNTIL_S,
        cluster=Cluster(policy=policy or (_policy(random) if everything else {})),
        affinity=tuple(_rules(seed, names, guests) if everything else ()),
        engines=_engines(seed, engines or (0 if everything else 1)),
    )


def _engines(seed: int, count: int) -> tuple[str, ...]:
    random = Random(f"engines {seed}")  # noqa: S311 - repeatable luck of its own, no secret
    return tuple(f"engine{number}" for number in range(1, (count or random.choice(_MANY)) + 1))


def _crashes(seed: int, events: Sequence[EventSpec]) -> Iterator[EventSpec]:
    """Crash points at drawn steps within seconds of what happens, and the ends of them."""
    random = Random(f"crashes {seed}")  # noqa: S311 - repeatable luck of its own, no secret
    times = [event.at for event in events]
    for _ in range(random.randint(1, 3)):
        at = random.choice(times) + random.uniform(0, 15)
        yield EventSpec(round(at, 1), "engine.crash", {"after": random.randint(0, 30)})
        yield EventSpec(round(at + random.uniform(0.1, 20), 1), "engine.start")


def _events(random: Random, words: dict[str, int], draw: _Draw) -> Iterator[EventSpec]:
    """Draw one to six faults, and the ends of most of them."""
    for _ in range(random.randint(1, 6)):
        word = random.choices(list(words), list(words.values()))[0]
        at = round(random.uniform(3, UNTIL_S - 30), 1)
        args = draw.args(word)
        yield EventSpec(at, word, args)
        yield from _undone(random, at, word, args)


#: Words that need a storage domain.
_ON_STORAGE = frozenset({"storage.lose", "storage.stall", "storage.stale_read"})


def _has_storage(random: Random, words: dict[str, int]) -> bool:
    """Half of the clusters have a heartbeat where it can be lost; all where it is meant to be."""
    meant = bool(_ON_STORAGE & words.keys())
    return meant and (words is not EVERYTHING or random.random() < 0.5)


def _policy(random: Random) -> dict[str, Any]:
    """Some clusters wait for crash dumps, and some watch the disks."""
    return {
        "kdump_wait": random.choice([0, 0, 60]),
        "activity_check": random.choice(["off", "off", "on"]),
        "activity_samples": 3,
        "activity_interval": 5,
        "shutdown_policy": random.choice(["migrate", "failover", "freeze", "conditional"]),
        "guest_stop_wait": 20,
        "guest_stop_refused": random.choice(["give_up", "stop"]),
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
    same: dict[str, Any] = {key: args[key] for key in ("host", "domain", "vm") if key in args}
    return [EventSpec(later, back, same)]
