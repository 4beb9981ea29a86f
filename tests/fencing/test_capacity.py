"""What each cluster can lose is worked out in the background, in time, and kept."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest

from fencing.models import ClusterCapacity
from fencing.services import capacity
from fencing.tasks import check_capacity
from hosts.models import Host
from portal import tasks
from portal.celery import app
from tests.vms.world import World
from vms.models import Vm


def known(world: World) -> ClusterCapacity:
    return ClusterCapacity.objects.get(cluster=world.cluster)


def check(world: World, budget_s: float = 10.0, ticks: Iterator[float] | None = None) -> None:
    steady = ticks or iter(count(0, 0))
    capacity.check(
        world.cluster.pk, world.clock.time, budget_s=budget_s, ticks=lambda: next(steady)
    )


def test_a_cluster_with_room_is_fine_and_says_how_much(both: World) -> None:
    both.started("web1")
    check(both)
    row = known(both)
    assert (row.ok, row.unplaced, row.hosts_checked) == (True, [], 3)
    assert (row.memory_total_mib, row.memory_used_mib) == (3 * 16384, 512)
    assert row.checked_at == both.clock.time


def test_vms_without_a_home_are_named_with_their_host(world: World) -> None:
    vm = world.started("web1")
    Vm.objects.filter(pk=vm.pk).update(memory_mib=16000)
    other = world.started("web2")
    Vm.objects.filter(pk=other.pk).update(memory_mib=16000)
    third = world.started("web3")
    Vm.objects.filter(pk=third.pk).update(memory_mib=16000)
    check(world)
    row = known(world)
    assert row.ok is False
    assert row.unplaced_hosts == 3
    there = world.copies(vm)[0]
    assert {"host": there, "host_id": world.host(there).pk, "vms": ["web1"], "count": 1} in (
        row.unplaced
    )


def test_open_pages_are_told_only_when_something_new_was_found(world: World) -> None:
    def told() -> int:
        return sum(item["type"] == "cluster" for item in world.live.pushed)

    check(world)
    assert told() == 1
    world.clock.forward(60)
    check(world)
    assert told() == 1


def test_a_wake_up_that_comes_twice_works_nothing_out_again(world: World) -> None:
    check(world)
    first = known(world).checked_at
    world.clock.forward(5)
    check(world)
    assert known(world).checked_at == first
    world.clock.forward(30)
    check(world)
    assert known(world).checked_at == first + timedelta(seconds=35)


def test_the_work_ends_when_time_is_up_and_does_not_claim_that_all_is_well(world: World) -> None:
    check(world, budget_s=10, ticks=iter([0.0, 1.0, 11.0]))
    row = known(world)
    assert (row.ok, row.hosts_checked) == (None, 2)


def test_a_cluster_that_is_gone_is_forgotten(world: World) -> None:
    capacity.check(world.cluster.pk + 99, world.clock.time)
    assert not ClusterCapacity.objects.exists()


def test_beat_has_every_cluster_checked_in_the_worker_that_nothing_urgent_needs(
    world: World,
) -> None:
    entry = app.conf.beat_schedule["capacity"]
    assert entry["task"] == tasks.check_capacities.name
    assert entry["schedule"] == pytest.approx(10)
    tasks.check_capacities()
    assert (check_capacity.name, (world.cluster.pk,), None) in world.queue.sent
    assert app.amqp.router.route({}, check_capacity.name)["queue"].name == "default"
    check_capacity(world.cluster.pk)
    assert known(world).ok is True


def test_a_worker_that_starts_does_not_wait_for_beat_s_first_half_minute(world: World) -> None:
    tasks.take_over(SimpleNamespace(hostname="default@engine1"))
    assert (check_capacity.name, (world.cluster.pk,), None) in world.queue.sent


def test_nothing_is_claimed_of_hosts_that_were_never_seen(world: World) -> None:
    Host.objects.update(memory_mib=0, vcpus=0)
    check(world)
    assert not ClusterCapacity.objects.exists()
