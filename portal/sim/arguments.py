"""What each fault word of a random schedule is drawn with."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

#: The storage domain of those schedules that have one.
DOMAIN = "shared1"
#: ... and of those in which a lease is moved.
SECOND = "shared2"
#: Where leases are given, moved to, and taken away.
LEASE_DOMAINS = {"lease.add": DOMAIN, "lease.move": SECOND, "lease.remove": DOMAIN}
#: The VM that is entered later, where one is.
LATE_VM = "vm0"
#: How long or how far off, for words that tell only that.
_SECONDS: dict[str, list[float]] = {
    "host.clock_skew": [-7200, -3, 3600],
    "engine.clock_skew": [-7200, -3, 3600],
    "engine.pause": [1, 6, 12, 30, 60],
    "redis.lose": [2, 8, 30],
    "db.lose": [1, 8, 30],
    "storage.delay_write": [0.5, 1, 1.9],
}


class Draw:
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
            "vm.same_disk": lambda: {"vm": vm, "other": random.choice(self.vms)},
            "admin.add_vm": lambda: {"vm": LATE_VM},
            "admin.ha": lambda: {"vm": vm, "enabled": False},
            "admin.migrate": lambda: {"vm": vm, "to": host},
            "libvirt.external_migrate": lambda: {"vm": vm, "to": host},
            "vm.migration_fails": lambda: self._failing(vm),
            "engine.isolate": dict,
            "site.power_cut": dict,
            "kdump.message": lambda: {"host": host, "spoofed": random.random() < 0.5},
            **self._of_storage(host),
        }
        if word in special:
            return special[word]()
        if word in _SECONDS:
            about = {"host": host} if word.startswith("host.") else {}
            return about | {"s": random.choice(_SECONDS[word])}
        about_vm = word.startswith("vm.") or word in (
            "admin.start", "admin.stop", "admin.shutdown", "libvirt.external_destroy",
            "admin.suspend", "admin.remove_vm",
        )  # fmt: skip
        return {"vm": vm} if about_vm else {"host": host}

    def _of_storage(self, host: str) -> dict[str, Callable[[], dict[str, Any]]]:
        choice = self.random.choice
        return {
            "storage.lose": lambda: {"host": host, "domain": DOMAIN},
            "storage.stall": lambda: {"domain": DOMAIN, "s": choice([5, 25, 60])},
            "storage.stale_read": lambda: {"reader": host, "s": choice([5, 30, 60])},
            "sanlock.stall": lambda: {"host": host, "s": choice([5, 30, 60])},
        }

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
