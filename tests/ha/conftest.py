"""A cluster, a clock that is moved by hand, and providers that answer as they are told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from fencing.models import HaResource, HaTransition
from fencing.operations import asking, resources
from fencing.services import ha_claims, ha_resources, ha_switches
from hosts.models import Cluster, ClusterMode
from hosts.services import engines
from portal.lib import clock, ha_registry
from portal.lib.ha.record import Work
from tests.vms.watched import BEGIN, HandClock

#: The patience of CloudStack's simulator: 3 activity checks, 2 recoveries, 1 s each.
QUICK: dict[str, Any] = {
    "health_interval": 1, "health_timeout": 10, "activity_interval": 1, "activity_timeout": 10,
    "activity_samples": 3, "degraded_max": 60, "recover_timeout": 10, "recover_attempts": 2,
    "recover_wait": 1, "fence_timeout": 10, "fence_retry_first": 1, "fence_retry_max": 4,
}  # fmt: skip

#: For those that hang: nobody waits for them long.
SHORT = dict.fromkeys(
    ("health_timeout", "activity_timeout", "recover_timeout", "fence_timeout"), 0.3
)


@dataclass
class Bench:
    """One cluster, and the resources in it; time moves only when it is asked to."""

    clock: HandClock
    cluster: Cluster

    def add(self, key: str = "r1", *, on: bool = True, **options: Any) -> HaResource:
        """Enter a resource of the simulator with these answers, and switch it on."""
        fields = {
            "kind": "simulator", "key": key, "provider": "simulator", "cluster": self.cluster,
            "thresholds": QUICK | (SHORT if "hangs" in options.values() else {}),
            "options": options,
        }  # fmt: skip
        row = ha_resources.add(fields, actor="ann", now=self.clock.time)
        if on:
            ha_resources.switch(row, on=True, actor="ann", now=self.clock.time)
        return self.row(row.pk)

    def row(self, pk: int) -> HaResource:
        """Return a resource as it is now."""
        return HaResource.objects.select_related("cluster", "vm", "host").get(pk=pk)

    def set(self, pk: int, **options: str) -> None:
        """Have its questions answered like this from now on."""
        row = self.row(pk)
        HaResource.objects.filter(pk=pk).update(options=row.options | options)

    def tick(self) -> None:
        """Ask everything that is due, one question after the other, until nothing is."""
        ha_switches.settle(ha_switches.unsettled(), now=self.clock.time)
        for _ in range(50):
            asked = [
                resources.step(pk, work)
                for work in Work
                for pk in list(ha_claims.due(work, self.clock.time).values_list("pk", flat=True))
            ]
            if not any(asked):
                return
        raise AssertionError("there is always something due: time stands still")

    def pass_time(self, seconds: float, every: float = 1) -> None:
        """Let time pass, asking what becomes due."""
        end = self.clock.time + timedelta(seconds=seconds)
        while self.clock.time < end:
            self.clock.time += timedelta(seconds=every)
            self.tick()

    def until(self, pk: int, done: Callable[[HaResource], bool], seconds: float = 60) -> HaResource:
        """Let time pass until a resource is as wanted; say what it was instead."""
        for _ in range(int(seconds)):
            self.tick()
            row = self.row(pk)
            if done(row):
                return row
            self.clock.time += timedelta(seconds=1)
        raise AssertionError(f"after {seconds} s: {row}; {self.log(pk)}")

    def log(self, pk: int) -> list[str]:
        """Return its transitions, oldest first."""
        rows = HaTransition.objects.filter(resource=pk).order_by("pk")
        return [f"{row.event} {row.old}→{row.new}" for row in rows]


@pytest.fixture
def providers(settings: Any) -> Iterator[Any]:
    """The settings, with the simulator's provider in them as in the demo."""
    settings.HA_PROVIDERS = settings.HA_PROVIDERS | {
        "simulator": "portal.demo.ha_provider.Simulator"
    }
    ha_registry.known.cache_clear()
    yield settings
    ha_registry.known.cache_clear()


@pytest.fixture
def bench(db: None, providers: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """An armed cluster whose clock stands still."""
    monkeypatch.setattr(asking, "_left_behind", {})  # numbers of rows come again in tests
    hand = HandClock()
    clock.install(hand)
    engines.join("engine1", BEGIN)
    yield Bench(hand, Cluster.objects.create(name="main", mode=ClusterMode.ARMED))
    clock.install(None)
