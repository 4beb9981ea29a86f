"""Bounded queues: one slow provider delays nobody, and nothing is lost where there is no room."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from threading import Event, active_count
from typing import Any

import pytest

from fencing.models import HaResource
from fencing.operations import asking, resources
from fencing.operations.pools import Pool
from fencing.services import ha_switches
from hosts.models import Cluster, ClusterMode
from hosts.services import engines
from portal.lib import clock, ha_registry
from portal.lib.ha.evidence import Answer, Evidence
from portal.lib.ha.provider import Ask, Capability, Subject
from portal.lib.ha.record import Work
from tests.waiting import wait_for


def test_so_many_run_and_so_many_wait_and_no_more() -> None:
    pool, gate, done = Pool("test", 2, 3), Event(), []

    def job(key: int) -> Callable[[], None]:
        def run() -> None:
            gate.wait(60)
            done.append(key)

        return run

    assert [pool.submit(key, job(key)) for key in range(7)] == [True] * 5 + [False] * 2
    assert (pool.room(), pool.has(4), pool.has(5)) == (0, True, False)
    gate.set()
    wait_for(lambda: len(done) == 5, 30, "all that were taken")
    wait_for(lambda: pool.room() == 5, 30, "room")
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_nothing_runs_twice_at_a_time_and_a_fault_ends_no_queue() -> None:
    pool, gate, done = Pool("test", 1, 5), Event(), []

    def fault() -> None:
        gate.wait(60)
        raise RuntimeError("a fault of our own")

    assert pool.submit(1, fault)
    assert not pool.submit(1, lambda: done.append("again"))
    assert pool.submit(2, lambda: done.append("two"))
    gate.set()
    wait_for(lambda: done == ["two"], 30, "the next job")
    wait_for(lambda: pool.submit(1, lambda: done.append("one")), 30, "its turn")
    wait_for(lambda: done == ["two", "one"], 30, "the same key once more")


def test_a_queue_that_is_made_smaller_shrinks_and_one_made_larger_grows() -> None:
    pool, gate, started = Pool("test", 1, 5), Event(), []

    def run(key: int) -> None:
        started.append(key)
        gate.wait(60)

    for key in range(3):
        pool.submit(key, partial(run, key))
    pool.resize(3, 5)
    pool.submit(3, lambda: started.append(3))
    wait_for(lambda: len(started) >= 2, 30, "a second thread")
    pool.resize(1, 0)
    assert pool.room() == 0
    gate.set()
    wait_for(lambda: pool.room() == 1, 30, "everything done")
    assert sorted(started) == [0, 1, 2, 3]


class Slow:
    """Hangs in its health check for those whose key begins with ``hung``."""

    name = "slow"
    kinds = ("thing",)
    capabilities = frozenset(Capability)
    options: dict[str, str] = {}
    gate = Event()
    asked: list[tuple[str, str]] = []

    def _say(self, question: str, answer: Answer, subject: Subject, ask: Ask) -> Evidence:
        self.asked.append((question, subject.key))
        return Evidence(answer, self.name, "said so", ask.asked_at)

    def is_eligible(self, subject: Subject, ask: Ask) -> Evidence:
        return Evidence(Answer.YES, self.name, "yes", ask.asked_at)

    def is_healthy(self, subject: Subject, ask: Ask) -> Evidence:
        answer = Answer.NO if subject.key == "dead" else Answer.YES
        found = self._say("health", answer, subject, ask)
        if subject.key.startswith("hung"):
            self.gate.wait(60)
        return found

    def has_activity(self, subject: Subject, ask: Ask) -> Evidence:
        return self._say("activity", Answer.NO, subject, ask)

    def recover(self, subject: Subject, ask: Ask) -> Evidence:
        return self._say("recover", Answer.NO, subject, ask)

    def fence(self, subject: Subject, ask: Ask) -> Evidence:
        return self._say("fence", Answer.YES, subject, ask)


@pytest.fixture
def slow(transactional_db: None, settings: Any, monkeypatch: Any) -> Iterator[Cluster]:
    """A cluster with the slow provider, on the real clock, as a worker drives it."""
    settings.HA_PROVIDERS = settings.HA_PROVIDERS | {"slow": f"{__name__}.Slow"}
    ha_registry.known.cache_clear()
    monkeypatch.setattr(asking, "_left_behind", {})
    Slow.gate.clear()
    Slow.asked.clear()
    engines.join("engine1", clock.now())
    yield Cluster.objects.create(name="main", mode=ClusterMode.ARMED)
    Slow.gate.set()
    wait_for(lambda: not any(pool.busy() for pool in resources.POOLS.values()), 30, "empty queues")
    ha_registry.known.cache_clear()


def enter(cluster: Cluster, key: str, state: str = "available", **more: Any) -> HaResource:
    now = clock.now()
    usual: dict[str, Any] = {
        "work": Work.HEALTH,
        "due_at": now - timedelta(seconds=1),
        "since": now,
    }
    usual["thresholds"] = {"health_timeout": 120, "activity_samples": 1}
    return HaResource.objects.create(
        kind="thing", key=key, provider="slow", cluster=cluster, state=state, **usual | more,
    )  # fmt: skip


def test_twenty_hanging_checks_delay_neither_the_next_one_nor_a_fence(slow: Cluster) -> None:
    for number in range(20):
        enter(slow, f"hung{number}")
    assert resources.tend() == 20
    wait_for(lambda: len(Slow.asked) == 20, 30, "twenty questions that hang")
    well = enter(slow, "well")
    dead = enter(slow, "dead", "fencing", work=Work.FENCE, due_at=clock.now())
    resources.tend()
    wait_for(lambda: HaResource.objects.get(pk=well.pk).said, 30, "the 21st")
    wait_for(lambda: HaResource.objects.get(pk=dead.pk).state == "fenced", 30, "the fence")
    assert len([pair for pair in Slow.asked if pair[1].startswith("hung")]) == 20


def test_a_full_health_queue_does_not_delay_a_fence_and_loses_nothing(slow: Cluster) -> None:
    queues = {"queues": {"health": [2, 1]}}
    ha_switches.configure_scope(None, queues, actor="ann", now=clock.now())
    for number in range(4):
        enter(slow, f"hung{number}")
    dead = enter(slow, "dead", "fencing", work=Work.FENCE, due_at=clock.now())
    assert resources.tend() == 4, "3 health checks and the fence"
    wait_for(lambda: HaResource.objects.get(pk=dead.pk).state == "fenced", 30, "the fence")
    HaResource.objects.filter(pk=dead.pk).delete()
    assert resources.tend() == 0, "there is no room"
    Slow.gate.set()
    wait_for(lambda: resources.POOLS[Work.HEALTH].room() == 3, 30, "room again")
    wait_for(lambda: resources.tend() > 0 or ("health", "hung3") in Slow.asked, 30)
    wait_for(lambda: HaResource.objects.exclude(said={}).count() == 4, 30, "the fourth as well")


def test_a_provider_that_hangs_for_ever_costs_one_thread(slow: Cluster) -> None:
    row = enter(slow, "hung", thresholds={"health_timeout": 0.1, "health_interval": 0.5})
    assert resources.step(row.pk, Work.HEALTH)
    threads = active_count()
    for _ in range(3):
        HaResource.objects.filter(pk=row.pk).update(work=Work.HEALTH, due_at=clock.now())
        assert resources.step(row.pk, Work.HEALTH)
        assert "still hangs" in HaResource.objects.get(pk=row.pk).said["text"]
    assert active_count() <= threads
    assert Slow.asked == [("health", "hung")]
