"""The course of a fence: retries, levels, whose BMC it is, old epochs, and workers that die."""

from datetime import timedelta

import pytest
from django.db import connection

from fencing import operations
from fencing.domain.alerts import AlertKind
from fencing.domain.power import PowerProblem, PowerState
from fencing.models import Alert, FenceOperation, PowerController
from fencing.operations.reading import read_all
from fencing.selectors import policy_of
from fencing.services import inventory, power
from hosts.models import Host
from hosts.services import engines
from tests.vms.moments import killed_at, paused_at
from tests.vms.world import World


def ask_fence(world: World, name: str, by: str = "user:ann") -> FenceOperation:
    return power.ask("fence", world.host(name).pk, now=world.clock.time, by=by, rule="by hand")


def again(op: FenceOperation) -> FenceOperation:
    return FenceOperation.objects.get(pk=op.pk)


def step(world: World, op: FenceOperation) -> FenceOperation:
    """Carry the operation on at the time when it is due."""
    op = again(op)
    world.clock.time = max(world.clock.time, op.due_at)
    operations.advance(op.pk)
    return again(op)


def finish(world: World, op: FenceOperation, steps: int = 12) -> FenceOperation:
    for _ in range(steps):
        op = step(world, op)
        if not op.is_open:
            break
    return op


def has_alert(kind: AlertKind) -> bool:
    return Alert.objects.filter(kind=kind, closed_at__isnull=True).exists()


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
            world.bmc(there).pk, state=PowerState.OFF, guid=world.hosts[there].uuid,
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
        row.pk, state=PowerState.OFF, guid=world.hosts["node1"].uuid,
        asked_at=now + timedelta(seconds=5), now=now,
    )  # fmt: skip
    before = PowerController.objects.filter(pk=row.pk).values().get()
    if late == "reading":
        power.record_reading(row.pk, state=PowerState.ON, guid=None, asked_at=now, now=now)
    else:
        power.record_problem(row.pk, PowerProblem.TIMED_OUT, "late", asked_at=now, now=now)
    assert PowerController.objects.filter(pk=row.pk).values().get() == before


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
    on = power.ask("power_on", both.host(there).pk, now=both.clock.time, by="user:ann")
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


@pytest.mark.parametrize("kind", ["fence", "power_on"])
def test_a_worker_of_an_old_epoch_sends_no_power_command(both: World, kind: str) -> None:
    """Paused anywhere between its claim and the command, while its engine starts anew."""
    command = "turn_off" if kind == "fence" else "turn_on"
    op = power.ask(kind, both.host("node1").pk, now=both.clock.time, by="user:ann")
    number, done = 0, True
    while done:
        number += 1
        sent_at_join: list[int] = []

        def begin_anew(sent_at_join: list[int] = sent_at_join) -> None:
            sent_at_join.append(len(both.called(command)))
            engines.join("engine1", both.clock.time)

        _back_before_the_command(both, op)
        moments = paused_at(both, number, lambda: operations.advance(op.pk), begin_anew)
        done = moments.done
        sent_after = len(both.called(command)) - sent_at_join[0] if done else 0
        claimed_anew = again(op).epoch == engines.me().epoch
        # The one moment that cannot be closed: the driver has been entered already.
        assert sent_after == 0 or claimed_anew or moments.inside == command, number
    assert number > 6


def _back_before_the_command(world: World, op: FenceOperation) -> None:
    FenceOperation.objects.filter(pk=op.pk).update(
        step="off" if op.kind == "fence" else "",
        state="waiting",
        due_at=world.clock.time,
        ended_at=None,
    )
    world.bmcs["node1"].on = True
    PowerController.objects.filter(address="node1").update(asked_at=world.clock.time)


def test_a_fence_is_not_ended_by_a_worker_of_an_old_epoch(world: World) -> None:
    """It finds its claim void, and leaves the fence to whoever comes next."""
    op = ask_fence(world, "node1")
    for number in range(1, 14):
        _back_before_the_command(world, op)

        def begin_anew() -> None:
            engines.join("engine1", world.clock.time)

        paused_at(world, number, lambda: operations.advance(op.pk), begin_anew)
        assert again(op).is_open, number


def test_a_claim_that_has_run_out_sends_no_command_even_if_nobody_took_it(world: World) -> None:
    op = ask_fence(world, "node1")
    for number in range(1, 14):
        _back_before_the_command(world, op)
        sent = len(world.called("turn_off"))

        def be_late() -> None:
            world.clock.forward(11)

        moments = paused_at(world, number, lambda: operations.advance(op.pk), be_late)
        late = moments.inside != "turn_off" and again(op).state == "acting"
        if late and again(op).due_at <= world.clock.time:
            assert len(world.called("turn_off")) == sent, number


def test_a_fence_killed_at_any_moment_is_finished_by_the_next_worker(world: World) -> None:
    type(world.cluster).objects.update(policy={"max_power_ons_per_hour": 60})
    number, killed = 0, True
    while killed:
        number += 13
        vm = world.started(f"vm{number}", ha=False)
        there = world.copies(vm)[0]
        world.clock.forward(1)
        op = ask_fence(world, there)

        def work(op: FenceOperation = op) -> None:
            for _ in range(5):
                step(world, op)

        killed = killed_at(world, number, work)
        _until_over(world, op)
        assert again(op).outcome == "confirmed_off"
        assert world.runs(vm) == [(1, there, "power_off")]
        _until_available(world, there)
    assert number > 30
    assert not Host.objects.filter(disproved=True).exists()
    assert not PowerController.objects.filter(trusted=False).exists(), "nobody was called a liar"
    world.whole()


def _until_over(world: World, op: FenceOperation) -> None:
    world.until(lambda: not again(op).is_open, 60, every=2)


def _until_available(world: World, name: str) -> None:
    world.until(lambda: world.ha(name) == "available", 90, every=2)


def test_a_fence_whose_proof_is_not_accepted_stays_open(world: World) -> None:
    """A distrusted controller reads back off: no proof, and somebody must go on trying."""
    vm = world.started("web1")
    there = world.copies(vm)[0]
    op = ask_fence(world, there)
    power.distrust(world.bmc(there).pk, "it lied", world.clock.time)
    for _ in range(8):
        op = step(world, op)
    assert op.is_open
    assert world.open_run(vm) is not None


def test_an_armed_cluster_fences_again_when_a_fence_was_withdrawn(world: World) -> None:
    vm = world.started("web1")
    there = world.copies(vm)[0]
    world.hosts[there].isolated = True
    world.until(lambda: FenceOperation.objects.filter(kind="fence").exists(), 40)
    FenceOperation.objects.filter(kind="fence").update(state="cancelled", ended_at=world.clock.time)
    world.until(lambda: world.copies(vm) and world.copies(vm) != [there], 60)


def test_a_lost_key_stops_no_round_and_is_told_as_a_wrong_setting(world: World) -> None:
    vm = world.started("web1")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE fencing_powercontroller SET password = 'gAAAAbroken'")
    power.ask("check", world.host("node1").pk, now=world.clock.time)
    world.hosts[world.copies(vm)[0]].crash_guest(vm.uuid)
    world.run(6)
    assert world.copies(vm), "restarts need no BMC"
    row = PowerController.objects.defer("password").get(address="node1")
    assert row.problem == "bad_settings"
    assert "backup" in row.problem_text
