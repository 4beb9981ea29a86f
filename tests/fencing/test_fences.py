"""The course of a fence: retries, levels, whose BMC it is, old epochs, and workers that die."""

from datetime import timedelta

import pytest

from fencing.domain.alerts import AlertKind
from fencing.domain.power import PowerProblem, PowerState
from fencing.models import FenceOperation, PowerController
from fencing.operations.reading import read_all
from fencing.selectors import policy_of
from fencing.services import inventory, power
from tests.fencing.fencing_steps import again, ask_fence, finish, has_alert, step
from tests.vms.world import World


def test_a_fence_identifies_switches_off_and_reads_back_twice(both: World) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.clock.forward(1)
    op = finish(both, ask_fence(both, there))
    assert (op.state, op.outcome) == ("done", "confirmed_off")
    assert both.runs(vm) == [(1, there, "power_off")]
    assert both.host(there).status == "down"
    assert both.called("turn_off") == [there]
    row = both.bmc(there)
    assert row.asked_at is not None
    assert row.first_off_at is not None
    assert (row.asked_at - row.first_off_at).total_seconds() >= 2


def test_two_readings_in_one_instant_are_no_proof(world: World) -> None:
    """A check and a fence read side by side: off must be read off_read_gap apart."""
    vm = world.started("web1")
    there = world.copies(vm)[0]
    world.pull_cord(there)
    world.clock.forward(3)
    for _ in range(3):
        power.record_reading(
            world.bmc(there), state=PowerState.OFF, guid=world.hosts[there].uuid,
            asked_at=world.clock.time, now=world.clock.time,
        )  # fmt: skip
        world.clock.forward(0.01)
    assert world.bmc(there).off_reads == 3
    op = ask_fence(world, there)
    step(world, op)
    op = step(world, op)
    assert op.is_open
    assert world.open_run(vm) is not None
    assert finish(world, op).outcome == "confirmed_off"


@pytest.mark.parametrize("late", ["reading", "problem"])
def test_a_late_answer_to_an_older_question_changes_nothing(world: World, late: str) -> None:
    row, now = world.bmc("node1"), world.clock.time
    power.record_reading(
        row, state=PowerState.OFF, guid=world.hosts["node1"].uuid,
        asked_at=now + timedelta(seconds=5), now=now,
    )  # fmt: skip
    before = PowerController.objects.filter(pk=row.pk).values().get()
    if late == "reading":
        power.record_reading(row, state=PowerState.ON, guid=None, asked_at=now, now=now)
    else:
        power.record_problem(row, PowerProblem.TIMED_OUT, "late", asked_at=now, now=now)
    assert PowerController.objects.filter(pk=row.pk).values().get() == before


def test_an_unheard_guid_is_no_answer_and_takes_no_identity_away(world: World) -> None:
    world.run(12)
    assert world.bmc("node1").identity == "proven"
    world.bmcs["node1"].mute = True
    power.ask("check", world.host("node1").pk, now=world.clock.time, by="ann")
    world.run(4)
    row = world.bmc("node1")
    assert (row.identity, row.problem) == ("proven", "timed_out")
    assert "not in time whose it is" in row.problem_text
    world.bmcs["node1"].mute = False
    world.until(lambda: not world.bmc("node1").problem, 40)


def test_settings_changed_while_the_old_address_is_asked_are_asked_anew(world: World) -> None:
    host = world.host("node1")
    op = power.ask("check", host.pk, now=world.clock.time, by="ann")

    def change_meanwhile(kind: str, where: str) -> None:
        if kind == "read" and not changed:
            changed.append(where)
            row = PowerController.objects.get(host=host)
            inventory.edit_controller(row, {"level": 2}, actor="ann", now=world.clock.time)

    changed: list[str] = []
    world.before.append(change_meanwhile)
    op = step(world, op)
    assert changed
    assert op.is_open, "what the old settings led to is no answer of the new ones"
    assert world.bmc("node1").asked_at is None
    assert step(world, op).state == "done"
    assert world.bmc("node1").identity == "proven"


def test_a_bmc_with_another_guid_never_gets_a_power_command(both: World) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    other = next(name for name in both.hosts if name != there)
    both.power.swap((there, 623), (other, 623))
    op = ask_fence(both, there)
    for _ in range(3):
        op = step(both, op)
    assert op.is_open
    assert op.outcome == "contradiction"
    assert both.called("turn_off") == []
    on = power.ask("power_on", both.host(there).pk, now=both.clock.time, by="ann")
    for _ in range(6):
        on = step(both, on)
    assert both.called("turn_on") == []
    assert on.state == "failed"
    assert both.copies(vm) == [there]


def test_an_address_that_changes_after_the_identification_is_identified_again(
    world: World,
) -> None:
    op = step(world, ask_fence(world, "node1"))
    assert op.step == "off"
    inventory.edit_controller(world.bmc("node1"), {"level": 2}, actor="ann", now=world.clock.time)
    PowerController.objects.filter(address="node2").delete()
    PowerController.objects.filter(address="node1").update(address="node2")
    for _ in range(4):
        op = step(world, op)
    assert world.called("turn_off") == []
    assert world.hosts["node2"].powered


def test_a_fence_that_waited_for_long_identifies_again_before_the_command(world: World) -> None:
    op = step(world, ask_fence(world, "node1"))
    assert op.step == "off"
    world.clock.forward(3600)
    world.power.swap(("node1", 623), ("node2", 623))
    for _ in range(3):
        op = step(world, op)
    assert world.called("turn_off") == []


def test_a_fence_goes_on_trying_ever_more_slowly(world: World) -> None:
    world.bmcs["node1"].reachable = False
    op = ask_fence(world, "node1")
    pauses = []
    for _ in range(9):
        op = step(world, op)
        pauses.append((op.due_at - world.clock.time).total_seconds())
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert op.attempt == 9
    assert has_alert(AlertKind.FENCE_FAILED)
    assert has_alert(AlertKind.CONFIRM_REBOOT)
    world.bmcs["node1"].reachable = True
    assert finish(world, op).outcome == "confirmed_off"
    assert not has_alert(AlertKind.FENCE_FAILED)


def test_a_refused_account_is_asked_again_every_five_minutes_at_most(world: World) -> None:
    world.bmcs["node1"].refuses = True
    op = ask_fence(world, "node1")
    for _ in range(3):
        op = step(world, op)
        assert op.outcome == "refused_auth"
        assert (op.due_at - world.clock.time).total_seconds() == 300
    assert world.called("turn_off") == []


def test_a_bmc_that_accepts_off_and_stays_on_times_out_and_proves_nothing(world: World) -> None:
    vm = world.started("web1")
    there = world.copies(vm)[0]
    world.bmcs[there].obeys = False
    op = ask_fence(world, there)
    while not again(op).outcome:
        op = step(world, op)
    assert op.outcome == "timed_out"
    assert world.copies(vm) == [there]
    assert world.open_run(vm) is not None


def test_a_second_level_takes_over_where_the_first_gives_no_answer(both: World) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.add_bmc(there, level=2, address="pdu")
    both.bmcs[there].reachable = False

    def cut(kind: str, where: str) -> None:
        if (kind, where) == ("turn_off", "pdu"):
            both.hosts[there].kill()

    both.after.append(cut)
    both.clock.forward(1)
    op = finish(both, ask_fence(both, there))
    assert op.outcome == "confirmed_off"
    assert both.called("turn_off") == ["pdu"]
    assert both.runs(vm) == [(1, there, "power_off")]


def test_all_controllers_of_a_level_must_confirm_off(both: World) -> None:
    """Two supplies: one is off, the other gives no answer, so the host may well be on."""
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.add_bmc(there, level=1, address="supply2")
    power.ask("check", both.host(there).pk, now=both.clock.time)
    both.run(3)
    both.bmcs["supply2"].reachable = False
    both.bmcs[there].lie = PowerState.OFF
    both.clock.forward(1)
    for _ in range(4):
        _read_all(both, there)
        both.clock.forward(2)
    host = both.host(there)
    ended = power.use_power_proof(
        host.pk, policy_of(host), rule="test", why="test", now=both.clock.time
    )
    assert ended == []
    assert both.open_run(vm) is not None


def _read_all(world: World, name: str) -> None:
    read_all(list(PowerController.objects.filter(host__name=name)), 1.0)


def test_a_fence_nobody_has_claimed_is_released_when_the_host_answers(both: World) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.hosts[there].isolated = True
    both.until(lambda: FenceOperation.objects.filter(kind="fence").exists(), 40)
    op = FenceOperation.objects.get(kind="fence")
    FenceOperation.objects.filter(pk=op.pk).update(due_at=both.clock.time + timedelta(hours=1))
    both.hosts[there].isolated = False
    both.run(6)
    assert again(op).state == "cancelled"
    assert both.ha(there) == "available"
    assert both.called("turn_off") == []


def test_a_fence_whose_bmc_gives_no_answer_is_released_when_the_host_answers(
    world: World,
) -> None:
    vm = world.started("web1")
    there = world.copies(vm)[0]
    world.hosts[there].isolated = True
    world.until(lambda: FenceOperation.objects.filter(kind="fence").exists(), 40)
    world.bmcs[there].reachable = False
    world.run(8)
    world.hosts[there].isolated = False
    world.run(8)
    world.bmcs[there].reachable = True
    world.run(400, every=20)
    assert world.called("turn_off") == []
    assert world.ha(there) == "available"
    assert world.copies(vm) == [there]


@pytest.mark.parametrize("repair", ["asked again", "entered anew"])
def test_a_repaired_account_is_used_at_once(world: World, repair: str) -> None:
    bmc = world.bmcs["node1"]
    bmc.password = "other"
    op = step(world, ask_fence(world, "node1"))
    assert op.due_at > world.clock.time
    world.clock.forward(1)
    if repair == "asked again":
        bmc.password = "secret"
        inventory.switch_power(world.host("node1"), "status", actor="ann", now=world.clock.time)
    else:
        row = world.bmc("node1")
        changes = {"password": "other"}
        inventory.edit_controller(row, changes, actor="ann", now=world.clock.time)
    world.until(lambda: not again(op).is_open, 20)
    assert again(op).outcome == "confirmed_off"
