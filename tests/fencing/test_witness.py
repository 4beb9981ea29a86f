"""An engine without a network of its own fences nobody."""

import socket
from collections.abc import Iterator

import pytest

from fencing.domain.alerts import AlertKind
from fencing.models import Alert
from fencing.operations.witness import ask_witnesses
from fencing.selectors import cluster_facts
from hosts.models import Cluster
from tests.vms.world import World


@pytest.fixture
def port() -> Iterator[int]:
    """A witness that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _isolated(world: World, *witness: str) -> str:
    """Isolate the host of a VM in a cluster with these witnesses."""
    vm = world.started("web1")
    there = world.copies(vm)[0]
    Cluster.objects.update(policy={"witness": list(witness)})
    world.hosts[there].isolated = True
    return there


def _live(world: World, seconds: int) -> None:
    for _ in range(seconds):
        ask_witnesses(world.cluster.pk)
        world.run(1)


def test_without_an_answer_of_a_witness_no_power_is_cut(world: World) -> None:
    there = _isolated(world, "255.255.255.255:9")
    _live(world, 25)
    assert world.called("turn_off") == []
    held = Alert.objects.get(kind=AlertKind.FENCE_HELD, closed_at__isnull=True)
    assert "witness" in held.text
    assert world.bmcs[there].on


@pytest.mark.parametrize("refuses", [True, False])
def test_a_witness_that_answers_or_refuses_lets_the_fence_go_on(
    refuses: bool, world: World, port: int
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
    there = _isolated(world, "255.255.255.255:9", f"127.0.0.1:{closed if refuses else port}")
    _live(world, 25)
    assert world.called("turn_off") == [there]


def test_an_old_answer_of_a_witness_counts_no_more(world: World, port: int) -> None:
    _isolated(world, f"127.0.0.1:{port}")
    world.run(3)
    ask_witnesses(world.cluster.pk)
    assert cluster_facts(world.cluster.pk, world.clock.time).witness_seen
    world.clock.forward(11)
    assert not cluster_facts(world.cluster.pk, world.clock.time).witness_seen
