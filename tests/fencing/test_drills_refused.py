"""When a fire drill must not begin, or not go on: nothing is switched, and a cure is told."""

from collections.abc import Callable

import pytest

from fencing.models import FenceOperation, PowerController
from fencing.services import drills, inventory, power
from fencing.services.inventory import NotAllowed
from fencing.services.starts import start_vm
from hosts.domain.states import Wanted
from hosts.models import Host
from hosts.services.inventory import want_host
from tests.fencing.fencing_steps import NODE, ask_drill, drilled, rest
from tests.vms.world import World
from vms.services import requests
from vms.services.inventory import NotNow


def _up(world: World) -> None:
    drills.want_host(world.host(NODE), Wanted.ACTIVE, actor="ann", now=world.clock.time)


def _distrusted(world: World) -> None:
    PowerController.objects.filter(address=NODE).update(trusted=False)


def _unproven(world: World) -> None:
    PowerController.objects.filter(address=NODE).update(identity="unproven")


def _no_bmc(world: World) -> None:
    PowerController.objects.filter(address=NODE).delete()


def _bmc_deaf(world: World) -> None:
    PowerController.objects.filter(address=NODE).update(problem="unreachable")


def _silent(world: World) -> None:
    world.hosts[NODE].isolated = True
    world.run(20)


def _self(world: World) -> None:
    Host.objects.filter(name=NODE).update(is_self=True)


def _no_marker(world: World) -> None:
    Host.objects.filter(name=NODE).update(boot_marker="")


def _fenced(world: World) -> None:
    power.ask("fence", world.host(NODE).pk, now=world.clock.time, by="bob")


def _running(world: World) -> None:
    vm = world.add_vm("web1", wanted_up=False)
    requests.request_start(vm.pk, world.host(NODE).pk, why="test", now=world.clock.time)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_up, "not in maintenance"),
        (_distrusted, "distrusted"),
        (_unproven, "whose it is"),
        (_no_bmc, "no power controller"),
        (_bmc_deaf, "gives no answer"),
        (_silent, "does not answer"),
        (_self, "this portal"),
        (_no_marker, "boot marker"),
        (_fenced, "already"),
        (_running, "web1"),
    ],
)
def test_a_drill_is_refused_with_a_cure(
    world: World, spoil: Callable[[World], None], word: str
) -> None:
    rest(world)
    spoil(world)
    with pytest.raises(NotAllowed, match=word) as refused:
        ask_drill(world)
    assert refused.value.cure
    assert not FenceOperation.objects.filter(kind="drill").exists()
    assert world.called("turn_off") == []


def test_a_host_in_a_drill_cannot_be_activated_nor_switched_nor_drilled_twice(
    world: World,
) -> None:
    rest(world)
    op, now = ask_drill(world), world.clock.time
    with pytest.raises(NotAllowed, match="fire drill"):
        drills.want_host(world.host(NODE), Wanted.ACTIVE, actor="bob", now=now)
    for wish in ("on", "off"):
        with pytest.raises(NotAllowed, match="fire drill"):
            inventory.switch_power(world.host(NODE), wish, actor="bob", now=now)
    with pytest.raises(NotAllowed, match="already"):
        ask_drill(world)
    assert drilled(world, op).state == "done"
    drills.want_host(world.host(NODE), Wanted.ACTIVE, actor="bob", now=world.clock.time)
    world.until(lambda: world.host(NODE).status == "up", 20)


def test_a_host_in_a_drill_takes_no_vm_even_if_it_was_activated_behind_its_back(
    world: World,
) -> None:
    rest(world)
    op = ask_drill(world)
    want_host(world.host(NODE), Wanted.ACTIVE, actor="bob", now=world.clock.time)
    world.look(NODE)
    assert world.host(NODE).status == "up"
    with pytest.raises(NotNow, match="fire drill"):
        start_vm(world.add_vm("web1"), world.host(NODE), actor="bob", now=world.clock.time)
    op = drilled(world, op)
    assert op.state == "cancelled"
    assert "not in maintenance" in op.error_text
    assert world.called("turn_off") == []
    assert world.events("drill.cancelled")


def test_a_vm_that_appears_before_the_command_calls_the_drill_off(world: World) -> None:
    rest(world)
    op = ask_drill(world)
    vm = world.add_vm("web1", wanted_up=False)
    requests.request_start(vm.pk, world.host(NODE).pk, why="test", now=world.clock.time)
    assert drilled(world, op).state == "cancelled"
    assert world.called("turn_off") == []
