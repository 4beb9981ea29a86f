"""What a look changes on a host's own row, and whose answer is believed."""

from dataclasses import replace
from datetime import timedelta

from fencing.models import Incident
from hosts.domain.looks import KernelSign, Look
from hosts.domain.states import Wanted
from hosts.models import Host
from hosts.services import looks
from hosts.services.looks import LookClaim
from hosts.services.moves import want
from tests.vms.world import PACE, World


def claim(world: World, name: str) -> LookClaim:
    Host.objects.filter(name=name).update(look_due_at=world.clock.time)
    taken = looks.claim_look(world.host(name).pk, PACE, now=world.clock.time)
    assert taken is not None
    return taken


def answer(world: World, name: str, **changes: str) -> Look:
    host = world.hosts[name]
    fields = {"host_uuid": host.uuid, "hostname": name, "boot_marker": host.marker} | changes
    return Look(memory_mib=16384, vcpus=8, uptime_s=5.0, **fields)  # type: ignore[arg-type]  # text all


def test_a_late_answer_of_a_lost_turn_changes_nothing(both: World) -> None:
    first = claim(both, "node1")
    both.clock.forward(10)
    second = claim(both, "node1")
    now = both.clock.time
    assert looks.record_look(first, answer(both, "node1"), now=now) is None
    missed = looks.record_missed(first, text="late", kernel=KernelSign.UNKNOWN, now=now)
    assert missed is None
    assert both.host("node1").status == "up"
    assert looks.record_look(second, answer(both, "node1"), now=now) is not None
    assert both.host("node1").last_seen == second.asked_at


def test_the_answer_of_another_machine_is_a_missed_look(both: World) -> None:
    for _ in range(2):
        taken = claim(both, "node1")
        other = answer(both, "node1", host_uuid="11111111-1111-1111-1111-111111111111")
        looks.record_look(taken, other, now=both.clock.time)
    row = both.host("node1")
    assert row.status == "non_responsive"
    assert row.host_uuid == both.hosts["node1"].uuid
    assert "another machine" in row.status_reason


def test_a_machine_entered_twice_is_told_and_does_not_stop_its_looks(both: World) -> None:
    both.add_host("twin")
    taken = claim(both, "twin")
    same = answer(both, "twin", host_uuid=both.hosts["node1"].uuid)
    looks.record_look(taken, same, now=both.clock.time)
    row = both.host("twin")
    assert (row.status, row.host_uuid) == ("pending", "")
    assert row.missed == 1
    assert both.host("node1").status == "up"


def test_a_hint_takes_the_turn_early_but_not_from_somebody_who_waits(world: World) -> None:
    world.look("node1")
    row, now = world.host("node1"), world.clock.time
    assert row.look_due_at == now + timedelta(seconds=2)
    assert looks.claim_look(row.pk, PACE, now=now) is None
    assert looks.claim_look(row.pk, PACE, now=now, early=True) is not None
    assert looks.claim_look(row.pk, PACE, now=now, early=True) is None


def test_a_wish_survives_silence_and_the_first_answer_goes_back_to_it(world: World) -> None:
    there = world.copies(world.started("web1"))[0]
    for name in world.hosts:  # so no other one can take its VM
        want(world.host(name).pk, Wanted.MAINTENANCE, actor="ann", now=world.clock.time)
    world.hosts[there].isolated = True
    world.until(lambda: world.host(there).status == "non_responsive", 30)
    world.hosts[there].isolated = False
    world.until(lambda: world.host(there).status == "preparing_for_maintenance", 30)
    told = Incident.objects.get(host__name=there)
    assert told.summary == f"{there} answers again; nothing was restarted"


def test_a_reboot_is_a_marker_that_is_gone_and_an_uptime_that_fell(world: World) -> None:
    world.run(8)
    for marker, uptime, expected in ((None, 99.0, False), (None, 1.0, True)):
        row = world.host("node1")
        Host.objects.filter(pk=row.pk).update(boot_marker="before", uptime_s=50.0)
        look = replace(answer(world, "node1"), boot_marker=marker, uptime_s=uptime)
        effect = looks.record_look(claim(world, "node1"), look, now=world.clock.time)
        assert effect is not None
        assert effect.rebooted is expected


def test_a_host_that_rests_after_a_missed_look_can_be_asked_at_once(both: World) -> None:
    Host.objects.filter(name="node1").update(status="maintenance", wanted="maintenance")
    taken, now = claim(both, "node1"), both.clock.time
    looks.record_missed(taken, text="no answer", kernel=KernelSign.UNKNOWN, now=now)
    assert both.host("node1").look_due_at == now + looks.SLOW_POLL
    looks.hasten(taken.host.pk, now)
    assert both.host("node1").look_due_at == now
    assert (looks.LOOK, (taken.host.pk,), None) in both.queue.sent


def test_a_look_under_way_is_not_hastened_and_keeps_its_turn(both: World) -> None:
    Host.objects.filter(name="node1").update(status="maintenance", wanted="maintenance")
    first = claim(both, "node1")
    looks.record_missed(first, text="none", kernel=KernelSign.UNKNOWN, now=both.clock.time)
    both.clock.forward(11)
    taken = claim(both, "node1")
    looks.hasten(taken.host.pk, both.clock.time)
    assert both.host("node1").look_due_at > both.clock.time
    look = answer(both, "node1")
    assert looks.record_look(taken, look, now=both.clock.time) is not None
