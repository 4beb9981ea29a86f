"""Adoption interrupted at any moment, and while the same UUID appears on a second host."""

import pytest

from fencing.domain.alerts import AlertKind
from fencing.models import Alert
from hosts.domain.looks import GuestReason, GuestState
from tests.core.racing import race
from tests.vms.moments import killed_at, paused_at
from tests.vms.test_adopting import adopt, put, stamp_on
from tests.vms.world import World
from vms import operations
from vms.models import Run, Vm, VmOperation
from vms.operations import adopting
from vms.operations.entering import Unfit
from vms.services import adopting as service
from vms.services.inventory import NotNow


def test_an_adoption_killed_at_any_moment_leaves_one_copy_and_ends_stamped(world: World) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        uuid = put(world, "node1", f"vm{number}")
        (op,) = adopt(world, "node1", uuid)
        killed = killed_at(world, number, lambda pk=op.pk: operations.advance(pk))  # type: ignore[misc]  # bound now
        vm = Vm.objects.get(uuid=uuid)
        world.look("node1")
        assert world.copies(vm) == ["node1"], "nothing stops or freezes it meanwhile"
        assert not world.vm(vm).quarantined
        world.clock.forward(60)
        operations.advance(op.pk)
        world.clock.forward(60)
        operations.advance(op.pk)
        run = world.open_run(vm)
        assert run is not None
        assert not run.adopting
        assert stamp_on(world, "node1", uuid) == world.stamp(run)
        world.hosts["node1"].set_guest(uuid, GuestState.SHUT_OFF, GuestReason.SHUTDOWN)
        world.clock.forward(1)
        world.look("node1")
        assert world.open_run(vm) is None
        del world.hosts["node1"].guests[uuid]
    assert number > 8, "the moments were not found"


def test_entering_killed_at_any_moment_enters_all_or_nothing(world: World) -> None:
    number, killed = 0, True
    row = world.host("node1")
    while killed:
        number += 4
        wanted = [put(world, "node1", f"a{number}"), put(world, "node1", f"b{number}")]
        found = adopting.examine(row, wanted, field="vms")

        def enter(found: service.Adoption = found) -> None:
            service.adopt(row, found, ha=True, actor="ann", now=world.clock.time)

        killed = killed_at(world, number, enter)
        there = Vm.objects.filter(uuid__in=wanted).count()
        assert there in (0, 2)
        assert Run.objects.filter(vm__uuid__in=wanted).count() == there
        assert VmOperation.objects.filter(vm__uuid__in=wanted, kind="adopt").count() == there
    assert number > 20, "the moments were not found"


def test_a_look_at_any_moment_of_the_stamping_finds_nothing_wrong(world: World) -> None:
    number, there = 0, True
    while there:
        number += 1
        uuid = put(world, "node1", f"vm{number}")
        (op,) = adopt(world, "node1", uuid)
        world.clock.forward(1)
        moments = paused_at(
            world,
            number,
            lambda pk=op.pk: operations.advance(pk),  # type: ignore[misc]  # bound now
            lambda: world.look("node1"),
        )
        there = moments.done
        world.clock.forward(1)
        world.look("node1")
        vm = Vm.objects.get(uuid=uuid)
        assert (world.vm(vm).quarantined, world.vm(vm).state) == (False, "up")
        del world.hosts["node1"].guests[uuid]
    assert number > 4, "the moments were not found"


@pytest.fixture
def split(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which somebody else runs a second copy: that is what is looked for here."""
    monkeypatch.setattr(world, "no_second_copy", lambda: None)
    return world


def test_a_guest_that_runs_on_two_hosts_is_not_adopted(split: World) -> None:
    uuid = put(split, "node1")
    put(split, "node2")
    with pytest.raises(Unfit, match="runs on node2 as well"):
        adopt(split, "node1", uuid)
    assert not Vm.everything.filter(uuid=uuid).exists()


@pytest.mark.parametrize("before_stamp", [True, False])
def test_a_second_copy_that_appears_during_adoption_is_frozen_and_told(
    split: World, before_stamp: bool
) -> None:
    uuid = put(split, "node1")
    (op,) = adopt(split, "node1", uuid)
    if not before_stamp:
        operations.advance(op.pk)
    put(split, "node2")
    vm = Vm.objects.get(uuid=uuid)
    split.until(lambda: split.copies(vm) == ["node1"], 20)
    assert split.vm(vm).quarantined
    assert split.hosts["node2"].guests[uuid].state is GuestState.PAUSED
    split.run(70)
    run = split.open_run(vm)
    assert run is not None
    assert run.host.name == "node1", "the copy that was reported last never wins"
    assert split.copies(vm) == ["node1"]
    assert len(split.runs(vm)) == 1
    kinds = Alert.objects.filter(vm=vm.pk, closed_at__isnull=True).values_list("kind", flat=True)
    assert AlertKind.SPLIT_BRAIN in kinds


def test_of_two_adoptions_of_one_uuid_at_once_only_one_opens_a_run(
    both: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second copy appears between the two looks, so that each finds its own alone."""
    monkeypatch.setattr(both, "no_second_copy", lambda: None)
    uuid = put(both, "node1")
    first = adopting.examine(both.host("node1"), [uuid], field="vms")
    guest = both.hosts["node1"].guests.pop(uuid)
    put(both, "node2")
    second = adopting.examine(both.host("node2"), [uuid], field="vms")
    both.hosts["node1"].guests[uuid] = guest
    now, hosts = both.clock.time, (both.host("node1"), both.host("node2"))

    def work(number: int) -> str:
        found = (first, second)[number % 2]
        try:
            service.adopt(hosts[number % 2], found, ha=True, actor="ann", now=now)
        except NotNow:
            return "refused"
        return "adopted"

    assert sorted(map(str, race(work, 6))) == ["adopted"] + ["refused"] * 5
    vm = Vm.objects.get(uuid=uuid)
    assert len(both.runs(vm)) == 1
    both.whole()
