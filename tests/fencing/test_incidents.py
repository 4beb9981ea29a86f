"""An incident's last word says what really came of it."""

from fencing.domain.power import PowerState
from fencing.models import Incident
from fencing.services import incidents, inventory, starts
from tests.vms.world import PORT, World
from vms.models import Vm


def _the_incident(world: World, host: str) -> Incident:
    return Incident.objects.get(host__name=host)


def _on_a_silent_host(world: World) -> tuple[Vm, str]:
    """Start a VM and cut its host off; return the VM and the host that does not respond."""
    vm = world.started("web1")
    there = world.copies(vm)[0]
    world.hosts[there].isolated = True
    world.until(lambda: world.host(there).status == "non_responsive", 20)
    return vm, there


def _closed(world: World, host: str) -> bool:
    return not Incident.objects.filter(host__name=host, closed_at__isnull=True).exists()


def test_vms_that_a_reboot_ended_belong_to_the_incident_of_their_host(both: World) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.bmcs[there].reachable = False  # nothing but the reboot itself proves anything
    both.hosts[there].isolated = True
    both.until(lambda: both.host(there).status == "non_responsive", 20)
    both.power_moved(there, PORT, PowerState.OFF)
    both.power_moved(there, PORT, PowerState.ON)
    both.hosts[there].isolated = False
    both.until(lambda: both.copies(vm) and _closed(both, there), 60)

    told = _the_incident(both, there)
    assert told.outcome == "failed_over"
    assert "web1 on " in told.summary
    assert not Incident.objects.filter(vm=vm.pk, host__isnull=True).exists(), "one story, not two"


def test_a_host_that_answers_again_with_its_vms_says_that_nothing_was_restarted(
    world: World,
) -> None:
    _, there = _on_a_silent_host(world)
    world.hosts[there].isolated = False
    world.until(lambda: _closed(world, there), 20)
    told = _the_incident(world, there)
    assert (told.outcome, told.summary) == (
        "recovered", f"{there} answers again; nothing was restarted",
    )  # fmt: skip


def test_a_vm_that_was_not_restarted_is_not_said_to_have_its_place(world: World) -> None:
    vm, other = world.started("web1"), world.add_vm("web2", wanted_up=False)
    there = world.copies(vm)[0]
    starts.start_vm(other, world.host(there), actor="ann", now=world.clock.time)
    world.until(lambda: world.vm(other).state == "up")
    assert world.copies(other) == [there]
    type(vm).objects.filter(pk=vm.pk).update(quarantined=True, state="quarantined")
    world.pull_cord(there)
    world.until(lambda: Incident.objects.exists() and _closed(world, there), 120)

    told = _the_incident(world, there)
    assert told.outcome == "incomplete"
    assert "1 of 2" in told.summary
    assert "web1 is quarantined" in told.summary
    assert "web2 on " in told.summary


def test_a_vm_that_nobody_wants_any_more_was_not_restarted(world: World) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    type(vm).objects.filter(pk=vm.pk).update(wanted_up=False)
    world.hosts[run.host.name].crash_guest(vm.uuid)
    world.until_closed(vm)
    incidents.open_vm_incident(vm.pk, run.host_id, world.clock.time)
    world.round()
    told = Incident.objects.get(vm=vm.pk)
    assert (told.outcome, told.summary) == ("incomplete", "web1 is down")


def test_a_fence_by_hand_is_an_incident_of_its_own_name_with_all_its_steps(world: World) -> None:
    vm = world.started("web1")
    there = world.copies(vm)[0]
    world.clock.forward(1)
    inventory.switch_power(world.host(there), "off", actor="ann", now=world.clock.time)
    world.until(lambda: world.copies(vm) and _closed(world, there), 120)
    told = _the_incident(world, there)
    assert told.title == f"{there} is fenced at the word of ann"
    texts = [event.text for event in incidents.timeline(told)]
    for words in ("ann asks to switch", "off accepted by the BMC", "web1: runs on"):
        assert any(words in text for text in texts), (words, texts)


def test_a_crashed_vm_shows_the_proof_of_its_end(world: World) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    world.hosts[run.host.name].crash_guest(vm.uuid)
    world.until(lambda: world.runs(vm)[-1][2] == "open" and len(world.runs(vm)) == 2, 20)
    world.run(4)
    told = Incident.objects.get(vm=vm.pk)
    assert told.outcome == "restarted"
    assert "run.proof" in [event.kind for event in incidents.timeline(told)]


def test_a_vm_that_died_in_its_hosts_silence_belongs_to_the_incident_of_the_host(
    world: World,
) -> None:
    vm, there = _on_a_silent_host(world)
    world.hosts[there].crash_guest(vm.uuid)
    world.hosts[there].isolated = False
    world.until(lambda: world.copies(vm) and _closed(world, there), 60)
    world.run(6)
    told = _the_incident(world, there)
    assert told.outcome == "failed_over"
    assert "web1 on " in told.summary
    assert Incident.objects.count() == 1, [row.summary for row in Incident.objects.all()]
