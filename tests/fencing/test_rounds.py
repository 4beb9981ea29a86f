"""Rounds over real rows: what they do, what a second one adds, what they never do."""

from datetime import timedelta

import pytest
from django.apps import apps

from fencing.domain.alerts import AlertKind
from fencing.domain.power import PowerState
from fencing.models import Alert, FenceOperation, Incident
from fencing.services import incidents, power, trust
from hosts.domain.states import Wanted
from hosts.models import Host
from hosts.services import inventory as hosts
from hosts.services import looks
from tests.vms.world import PORT, World, a_world
from vms.models import VmOperation
from vms.services import inventory, requests


def everything() -> dict[str, list[str]]:
    """Every row of the portal's own tables."""
    own = [apps.get_app_config(name) for name in ("portal", "hosts", "vms", "fencing")]
    return {
        model.__name__: sorted(map(str, model._default_manager.values_list()))
        for app in own
        for model in app.get_models()
    }


def open_alerts() -> set[str]:
    return set(Alert.objects.filter(closed_at__isnull=True).values_list("kind", flat=True))


def power_work() -> list[str]:
    kinds = FenceOperation.objects.exclude(kind="check").values_list("kind", flat=True)
    return list(kinds)


@pytest.mark.parametrize(
    "trouble", ["none", "cord", "isolated", "two silent", "bmc gone", "crash", "two to be fenced"]
)
def test_rounds_come_to_rest_at_once_and_then_change_nothing(world: World, trouble: str) -> None:
    vm = world.started("web1")
    there = world.copies(vm)[0]
    others = [name for name in world.hosts if name != there]
    if trouble == "cord":
        world.pull_cord(there)
    elif trouble == "bmc gone":
        world.hosts[there].isolated, world.bmcs[there].reachable = True, False
    elif trouble == "crash":
        world.hosts[there].crash_guest(vm.uuid)
    elif trouble != "none":
        world.hosts[there].isolated = True
    if trouble == "two silent":
        world.hosts[others[0]].isolated = True
    if trouble == "two to be fenced":
        type(world.cluster).objects.update(policy={"max_unreachable_pct": 100, "fence_alone": "on"})
        world.hosts[others[0]].isolated = True
    for _ in range(16):
        world.work()
        world.round()  # what the first one ended, the next may build upon
        before = everything()
        world.round()
        assert everything() == before
        world.clock.forward(1)
    world.whole()


def test_a_host_whose_cord_is_pulled_is_proven_off_and_its_vm_runs_elsewhere(both: World) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.pull_cord(there)
    pulled = both.clock.time
    both.until(lambda: both.copies(vm), 20)
    assert both.clock.time - pulled <= timedelta(seconds=12)
    assert both.runs(vm)[0] == (1, there, "power_off")
    assert both.called("turn_off") == [], "a host that is off needs no command"
    both.until(lambda: both.host(there).status == "up" and both.ha(there) == "available", 120)
    assert not Incident.objects.filter(closed_at__isnull=True).exists()
    both.whole()


def test_a_host_that_hangs_is_fenced_and_its_vm_runs_elsewhere(both: World) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.hosts[there].isolated = True
    both.until(lambda: both.copies(vm) and both.copies(vm) != [there], 60)
    assert both.called("turn_off") == [there]
    assert both.runs(vm)[0] == (1, there, "power_off")
    both.hosts[there].isolated = False
    both.until(lambda: both.ha(there) == "available", 120)
    assert both.called("turn_off") == [there]
    both.whole()


def test_observe_mode_does_nothing_but_alerts(transactional_db: None) -> None:
    with a_world("node1", "node2", "node3") as world:
        vm = world.started("web1")
        type(world.cluster).objects.update(mode="observe")
        down = world.add_vm("web2")
        there = world.copies(vm)[0]
        world.hosts[there].isolated = True
        world.run(40)
        assert power_work() == []
        assert world.called("turn_off") == []
        assert world.copies(down) == []
        assert VmOperation.objects.filter(vm=down).count() == 0
        assert AlertKind.FENCE_HELD in open_alerts()
        world.bmcs[there].on = False
        world.hosts[there].kill()
        world.run(20)
        assert world.runs(vm) == [(1, there, "power_off")], "a proof is a fact in any mode"
        assert power_work() == []
        assert world.copies(vm) == []
        assert "observe mode" in world.vm(vm).waiting_for


def test_two_silent_hosts_of_three_fence_nobody(world: World) -> None:
    world.started("web1")
    world.started("web2")
    for name in ("node1", "node2"):
        world.hosts[name].isolated = True
    world.run(60)
    assert power_work() == []
    assert world.called("turn_off") == []
    assert AlertKind.FENCE_HELD in open_alerts()


def test_a_proof_closes_only_runs_that_began_before_the_first_off(world: World) -> None:
    vm = world.started("web1")
    there = world.copies(vm)[0]
    world.pull_cord(there)
    world.until(lambda: world.bmc(there).off_reads == 1, 20)
    late = world.add_vm("late", wanted_up=False)
    world.clock.forward(0.1)
    requests.request_start(late.pk, world.host(there).pk, why="test", now=world.clock.time)
    VmOperation.objects.filter(vm=late).update(due_at=world.clock.time + timedelta(hours=1))
    world.until(lambda: world.runs(vm)[0][2] == "power_off", 20)
    assert world.runs(late) == [(1, there, "open")]
    world.until_closed(late, 30)
    assert world.runs(late) == [(1, there, "power_off")], "asked about anew, and proven"


def test_the_same_boot_marker_after_a_proof_disproves_it(both: World) -> None:
    """The BMC lies: it says off, and the host was only cut off all the time."""
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.run(3)
    assert both.hosts[there].marker
    watch, both.no_second_copy = both.no_second_copy, lambda: None  # type: ignore[method-assign]  # the lie splits it
    both.hosts[there].isolated = True
    both.bmcs[there].lie = PowerState.OFF
    both.until(lambda: len(both.copies(vm)) == 2, 30)
    type(both.cluster).objects.update(mode="observe")  # nobody powers it on meanwhile
    both.hosts[there].isolated = False
    both.until(lambda: len(both.copies(vm)) == 1, 60)
    both.no_second_copy = watch  # type: ignore[method-assign]  # whole again
    both.run(3)
    assert AlertKind.PROOF_DISPROVED in open_alerts()
    assert AlertKind.SPLIT_BRAIN in open_alerts()
    assert not both.bmc(there).trusted
    assert both.copies(vm) != [there]
    assert both.vm(vm).quarantined


def test_a_host_is_powered_on_so_often_an_hour_and_no_more(world: World) -> None:
    world.started("web1")
    world.bmcs["node1"].obeys = False  # it accepts "on", and stays off
    world.pull_cord("node1")
    for _ in range(8):
        world.run(40, every=8)
        Host.objects.filter(name="node1", status="rebooting").update(status="down")
    asked = FenceOperation.objects.filter(kind="power_on", host__name="node1").count()
    assert asked == 3
    world.clock.forward(3600)
    world.run(24, every=8)
    assert FenceOperation.objects.filter(kind="power_on", host__name="node1").count() == 4


def test_an_alert_of_one_vm_is_not_told_on_the_incident_of_another(world: World) -> None:
    one, two = world.add_vm("web1"), world.add_vm("web2")
    host, now = world.host("node1").pk, world.clock.time
    mine = incidents.open_vm_incident(one.pk, host, now)
    incidents.raise_alert(AlertKind.NO_ROOM, 0, two.pk, "no room", now)
    incidents.raise_alert(AlertKind.NO_ROOM, 0, one.pk, "no room", now)
    told = {event.vm: event.incident for event in world.events("alert.no_room")}
    assert told == {one.pk: mine.pk, two.pk: 0}


def test_a_switched_on_host_keeps_no_reading_of_the_time_before(world: World) -> None:
    world.pull_cord("node1")
    world.until(lambda: world.bmc("node1").off_reads >= 2, 30)
    power.powered_on(world.host("node1").pk, "test", world.clock.time)
    row = world.bmc("node1")
    assert (row.state, row.off_reads, row.first_off_at) == ("unknown", 0, None)


def test_an_answer_asked_before_the_proof_does_not_bring_a_host_back(world: World) -> None:
    """A look is under way while the host is proven off: it says nothing about now."""
    vm = world.started("web1")
    there = world.copies(vm)[0]
    row = world.host(there)

    def proven_meanwhile(kind: str, where: str) -> None:
        if kind == "look" and where == there and world.host(there).status == "up":
            looks.proven_off(row.pk, why="test", now=world.clock.time)

    world.before.append(proven_meanwhile)
    world.look(there)
    world.before.remove(proven_meanwhile)
    assert world.host(there).status == "down"
    world.clock.forward(1)
    world.look(there)
    assert world.host(there).disproved, "the next answer tells that it was never off"


def test_a_host_goes_into_maintenance_when_it_is_empty_and_comes_back(world: World) -> None:
    vm = world.started("web1")
    there = world.copies(vm)[0]
    for name in sorted(world.hosts, key=lambda name: name == there):  # no other one can take it
        hosts.want_host(world.host(name), Wanted.MAINTENANCE, actor="ann", now=world.clock.time)
    world.run(10)
    assert world.host(there).status == "preparing_for_maintenance", "its VM runs on"
    inventory.act(world.vm(vm), "stop", actor="ann", now=world.clock.time)
    world.until(lambda: world.host(there).status == "maintenance", 20)
    world.until(lambda: world.ha(there) == "ineligible", 5)
    hosts.want_host(world.host(there), Wanted.ACTIVE, actor="ann", now=world.clock.time)
    world.until(lambda: (world.host(there).status, world.ha(there)) == ("up", "available"), 10)


def test_a_host_switched_on_at_its_own_button_makes_no_liar_of_its_bmc(both: World) -> None:
    type(both.cluster).objects.update(policy={"after_fence": "stay_off"})
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.pull_cord(there)
    both.until(lambda: both.host(there).status == "down" and both.copies(vm), 60)
    both.run(35)
    both.bmcs[there].on = True
    both.power_moved(there, PORT, PowerState.ON)
    both.until(lambda: (both.host(there).status, both.ha(there)) == ("up", "available"), 60)
    both.run(12)
    assert both.bmc(there).trusted
    assert both.bmc(there).state == "on", "its old word was about the time before"
    assert AlertKind.CONTRADICTION not in open_alerts()


def test_a_distrusted_bmc_is_believed_again_once_a_person_has_tested_it(both: World) -> None:
    row = both.bmc("node1")
    both.clock.forward(1)
    trust.distrust(row.pk, "it lied", both.clock.time)
    both.bmcs["node1"].lie = PowerState.OFF
    power.ask("check", row.host_id, now=both.clock.time, by="ann")
    both.run(8)
    assert not both.bmc("node1").trusted, "it says off of a host that answers"
    both.bmcs["node1"].lie = None
    power.ask("check", row.host_id, now=both.clock.time)
    both.run(4)
    assert not both.bmc("node1").trusted, "only a person's test counts"
    power.ask("check", row.host_id, now=both.clock.time, by="ann")
    both.run(4)
    assert both.bmc("node1").trusted
    assert "tested by ann" in both.events("bmc.trusted")[0].text
