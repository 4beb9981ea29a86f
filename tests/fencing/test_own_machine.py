"""The portal's own machine: found in the lists of the hosts, and left alone by the portal."""

from collections.abc import Iterator

import pytest

from fencing.domain.departing import Departure
from fencing.models import FenceOperation
from fencing.services import departures, inventory
from fencing.services.inventory import NotAllowed
from portal.lib import own_machine
from tests.vms.world import World
from vms.services.inventory import NotNow, act


@pytest.fixture(autouse=True)
def ours() -> Iterator[None]:
    own_machine.install("")
    yield
    own_machine.install(None)


def test_the_host_under_the_portals_own_vm_is_not_fenced_shut_down_or_switched(
    world: World,
) -> None:
    vm = world.started("portal1")
    home = world.copies(vm)[0]
    assert not world.host(home).is_self
    own_machine.install(vm.uuid)
    world.run(5)
    assert world.host(home).is_self
    with pytest.raises(NotNow, match="this portal runs in"):
        act(vm, "stop", actor="ann", now=world.clock.time)
    with pytest.raises(NotAllowed, match="this portal"):
        departures.ask(world.host(home), Departure.REBOOT, actor="ann", now=world.clock.time)
    with pytest.raises(NotAllowed, match="this portal"):
        inventory.switch_power(world.host(home), "off", actor="ann", now=world.clock.time)
    world.hosts[home].isolated = True
    world.run(60)
    assert not FenceOperation.objects.filter(kind="fence").exists()
    assert world.called("turn_off") == []


def test_the_mark_goes_with_the_machine(world: World) -> None:
    own_machine.install(world.hosts["node2"].uuid)
    world.run(5)
    assert world.host("node2").is_self
    own_machine.install("")
    world.run(5)
    assert not world.host("node2").is_self


def test_the_mark_leaves_the_old_host_once_another_one_shows_the_portals_vm(world: World) -> None:
    vm = world.started("portal1")
    home = world.copies(vm)[0]
    other = next(name for name in world.hosts if name != home)
    own_machine.install(vm.uuid)
    world.run(5)
    world.hosts[home].isolated = True
    world.hosts[other].guests[vm.uuid] = world.hosts[home].guests.pop(vm.uuid)
    world.run(5)
    assert world.host(other).is_self
    assert not world.host(home).is_self
