"""A database that was put back from a backup: noticed, distrusted, believed again or accepted."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from fencing.models import FenceOperation
from fencing.services import power, restored
from fencing.services.inventory import NotAllowed
from hosts.models import Cluster, ClusterMode
from hosts.services.inventory import set_mode
from portal.core.models import Event
from portal.lib import watermark
from portal.lib.watermark import MemoryStore
from tests.vms.world import World
from vms.models import Vm
from vms.services import requests


@pytest.fixture
def mind() -> Iterator[MemoryStore]:
    mind = MemoryStore()
    watermark.install(mind)
    yield mind
    watermark.install(None)


def _older(world: World, mind: MemoryStore) -> None:
    """Let the engine remember an event that the database does not hold, and start."""
    mind.mark = "99999999 somebody-elses-seal"
    assert restored.check(world.clock.time)


def test_what_is_remembered_is_there_in_a_database_that_was_not_put_back(
    world: World, mind: MemoryStore
) -> None:
    assert not restored.check(world.clock.time), "nothing is remembered yet"
    world.started("web1")
    restored.remember()
    assert mind.mark
    assert not restored.check(world.clock.time)
    newest = Event.objects.latest("pk")
    Event.objects.filter(pk=newest.pk).update(seal="another history")
    assert restored.check(world.clock.time)


def test_an_older_database_only_observes_without_end_and_forgets_what_was_asked(
    world: World, mind: MemoryStore
) -> None:
    now = world.clock.time
    op = power.ask("fence", world.host("node1").pk, now=now, by="ann")
    set_mode(
        world.cluster, ClusterMode.OBSERVE, actor="ann", now=now, until=now + timedelta(hours=1)
    )
    _older(world, mind)
    cluster = Cluster.objects.get()
    assert (cluster.mode, cluster.observe_until) == ("observe", None)
    assert FenceOperation.objects.get(pk=op.pk).state == "cancelled"
    assert world.events("database.restored")


def test_a_start_that_the_backup_holds_is_not_carried_out(world: World, mind: MemoryStore) -> None:
    world.hosts["node3"].isolated = True
    world.run(10)
    vm = world.add_vm("web1")
    requests.request_start(vm.pk, world.host("node1").pk, why="test", now=world.clock.time)
    _older(world, mind)
    world.run(30)
    assert world.called("start") == []
    assert restored.distrust_of(world.cluster.pk)[0]


def test_it_is_believed_again_once_every_host_has_answered(world: World, mind: MemoryStore) -> None:
    world.hosts["node3"].isolated = True
    world.run(10)
    _older(world, mind)
    world.run(20)
    assert "node3" in str(restored.not_compared(world.cluster.pk, restored_at(world)))
    with pytest.raises(NotAllowed, match="node3"):
        restored.accept(world.cluster, actor="ann", now=world.clock.time)
    world.hosts["node3"].isolated = False
    world.run(20)
    assert restored.distrust_of(world.cluster.pk) == ("", None)
    assert Cluster.objects.get().mode == "observe", "a person arms it"
    with pytest.raises(NotAllowed, match="believed"):
        restored.accept(world.cluster, actor="ann", now=world.clock.time)


def restored_at(world: World) -> datetime:
    since = restored.distrust_of(world.cluster.pk)[1]
    assert since is not None
    return since


def _newer(world: World, generation: int, installation: str = "") -> Vm:
    """Let node3 run a copy of a VM that is newer than the database."""
    vm = world.started("node1-vm")
    run = world.open_run(vm)
    assert run is not None
    stamp = replace(world.stamp(run), generation=generation)
    stamp = replace(stamp, installation=installation or stamp.installation)
    guest = world.hosts[run.host.name].guests.pop(vm.uuid)
    world.hosts["node3"].guests[vm.uuid] = replace(guest, stamp=stamp)
    return vm


def test_whoever_accepts_has_the_vm_run_where_its_newest_copy_was_seen(
    world: World, mind: MemoryStore
) -> None:
    world.hosts["node3"].isolated = True
    world.run(10)
    vm = _newer(world, 7)
    world.hosts["node3"].isolated = False
    world.run(20)
    assert restored.distrust_of(world.cluster.pk)[0]
    restored.accept(world.cluster, actor="ann", now=world.clock.time)
    run = world.open_run(vm)
    assert run is not None
    assert (run.host.name, run.generation) == ("node3", 7)
    assert Vm.objects.get(pk=vm.pk).generation == 7
    world.run(20)
    assert not restored.distrust_of(world.cluster.pk)[0]
    assert not Vm.objects.get(pk=vm.pk).quarantined


def test_marks_of_another_installation_are_never_accepted(world: World, mind: MemoryStore) -> None:
    world.hosts["node3"].isolated = True
    world.run(10)
    _newer(world, 7, "somebody-else")
    world.hosts["node3"].isolated = False
    world.run(20)
    with pytest.raises(NotAllowed, match="another installation"):
        restored.accept(world.cluster, actor="ann", now=world.clock.time)
