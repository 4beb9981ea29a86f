"""Shutting a host down or rebooting it: refused, cancelled, given up, and what is told."""

import pytest

from fencing.domain.departing import Departure
from fencing.models import FenceOperation, Incident
from fencing.services import departures, drills, inventory, requests
from fencing.services.inventory import NotAllowed
from hosts.domain.states import Wanted
from hosts.models import Host
from tests.fencing.fencing_steps import NODE, again, ask_drill, rest
from tests.vms.world import World
from vms.models import Vm


def ask(world: World, what: Departure = Departure.REBOOT) -> FenceOperation:
    op = departures.ask(world.host(NODE), what, actor="ann", now=world.clock.time)
    world.until(lambda: world.host(NODE).wanted == "down", 5)
    return op


def ended(world: World, op: FenceOperation, within: float = 300.0) -> FenceOperation:
    world.until(lambda: not again(op).is_open, within)
    return again(op)


def policy(world: World, **names: object) -> None:
    type(world.cluster).objects.update(policy=names)


def test_a_reboot_ends_the_vms_first_and_raises_no_incident(world: World) -> None:
    policy(world, shutdown_policy="freeze")
    web = world.started(NODE)
    op = ended(world, ask(world))
    assert op.state == "done"
    assert world.called("ask_off") == [NODE]
    assert world.called("turn_off") == []
    world.until(lambda: world.open_run(web) is not None, 30)
    run = world.open_run(web)
    assert run is not None
    assert run.host.name == NODE
    assert not Incident.objects.filter(host__isnull=False).exists()
    assert world.events("host.rebooted")
    assert world.host(NODE).wanted == "active"


def test_a_machine_that_ignores_the_button_is_cut_off_when_it_is_empty(world: World) -> None:
    world.power.stubborn.add(NODE)
    op = ended(world, ask(world, Departure.SHUTDOWN), 400)
    assert op.state == "done"
    assert world.called("turn_off") == [NODE]
    assert world.host(NODE).status == "down"


def test_guests_that_nobody_looks_after_forbid_it(world: World) -> None:
    Host.objects.filter(name=NODE).update(
        others=[{"uuid": "u", "name": "stranger", "state": "running"}]
    )
    with pytest.raises(NotAllowed, match="stranger") as refused:
        departures.ask(world.host(NODE), Departure.REBOOT, actor="ann", now=world.clock.time)
    assert refused.value.cure
    Host.objects.update(others=[{"uuid": "u", "name": "stranger", "state": "shut_off"}])
    assert ask(world).is_open


def test_nobody_else_uses_the_host_meanwhile(world: World) -> None:
    world.started(NODE)
    ask(world)
    for wanted in (Wanted.ACTIVE, Wanted.MAINTENANCE):
        with pytest.raises(NotAllowed, match="shut down or rebooted"):
            drills.want_host(world.host(NODE), wanted, actor="bob", now=world.clock.time)
    for wish in ("on", "off"):
        with pytest.raises(NotAllowed, match="shut down or rebooted"):
            inventory.switch_power(world.host(NODE), wish, actor="bob", now=world.clock.time)
    with pytest.raises(NotAllowed, match="already"):
        departures.ask(world.host(NODE), Departure.SHUTDOWN, actor="bob", now=world.clock.time)


def test_a_drill_forbids_a_departure_and_the_other_way_round(world: World) -> None:
    rest(world)
    ask_drill(world)
    with pytest.raises(NotAllowed, match="already"):
        departures.ask(world.host(NODE), Departure.REBOOT, actor="ann", now=world.clock.time)


def test_it_can_be_cancelled_while_it_waits_for_its_vms_and_the_host_is_used_again(
    world: World,
) -> None:
    web = world.started(NODE)
    world.hosts[NODE].deaf.add(web.uuid)
    op = ask(world)
    world.run(4)
    requests.cancel(again(op), actor="ann", now=world.clock.time)
    world.until(lambda: world.host(NODE).status == "up", 20)
    assert world.host(NODE).wanted == "active"
    assert world.called("ask_off") == []
    assert requests.retry(again(op), actor="ann", now=world.clock.time).kind == "reboot"


def test_it_cannot_be_cancelled_once_the_machine_was_asked(world: World) -> None:
    world.power.stubborn.add(NODE)
    op = ask(world)
    world.until(lambda: again(op).step == "read", 60)
    with pytest.raises(NotAllowed, match="asked to shut down"):
        requests.cancel(again(op), actor="ann", now=world.clock.time)


def test_a_guest_that_does_not_end_gives_it_up_with_a_cure(world: World) -> None:
    policy(world, guest_stop_wait=10, shutdown_policy="failover")
    web = world.started(NODE)
    world.hosts[NODE].deaf.add(web.uuid)
    op = ended(world, ask(world))
    assert (op.state, op.error_code) == ("failed", "guests_stay")
    assert web.name in op.error_text
    assert op.error_cure
    world.until(lambda: world.host(NODE).status == "up", 20)
    assert Vm.objects.get(pk=web.pk).wanted_up


def test_a_host_in_maintenance_is_in_maintenance_again_after_its_reboot(world: World) -> None:
    rest(world)
    op = ended(world, ask(world))
    assert op.state == "done"
    world.until(lambda: world.host(NODE).status == "maintenance", 30)
    assert world.host(NODE).wanted == "maintenance"


def test_switching_on_what_was_shut_down_wants_it_as_before(world: World) -> None:
    ended(world, ask(world, Departure.SHUTDOWN))
    assert world.host(NODE).wanted == "down"
    inventory.switch_power(world.host(NODE), "on", actor="ann", now=world.clock.time)
    world.until(lambda: world.host(NODE).status == "up", 60)
    assert world.host(NODE).wanted == "active"
