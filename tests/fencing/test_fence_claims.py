"""Workers of a fence that are paused, killed or of an old epoch; fences that nobody holds."""

from functools import partial

import pytest
from django.db import connection

from fencing import operations
from fencing.models import FenceOperation, PowerController
from fencing.services import power, trust
from hosts.models import Host
from hosts.services import engines
from tests.fencing.fencing_steps import again, ask_fence, step
from tests.vms.moments import killed_at, paused_at
from tests.vms.world import World


@pytest.mark.parametrize("kind", ["fence", "power_on"])
def test_a_worker_of_an_old_epoch_sends_no_power_command(both: World, kind: str) -> None:
    """Paused anywhere between its claim and the command, while its engine starts anew."""
    command = "turn_off" if kind == "fence" else "turn_on"
    op = power.ask(kind, both.host("node1").pk, now=both.clock.time, by="ann")
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


def test_a_power_on_killed_at_any_moment_leaves_no_reading_of_the_time_before(
    world: World,
) -> None:
    """Else the booted host would contradict its own BMC's old word, and call it a liar."""
    number, killed = 0, True
    while killed:
        number += 1
        Host.objects.filter(name="node1").update(status="down")
        PowerController.objects.filter(address="node1").update(state="off", off_reads=2)
        op = power.ask("power_on", world.host("node1").pk, now=world.clock.time)
        killed = killed_at(world, number, partial(operations.advance, op.pk))
        for _ in range(2):
            world.clock.forward(15)
            operations.advance(op.pk)
        assert again(op).state == "done"
        assert world.host("node1").status == "rebooting", number
        assert world.bmc("node1").state == "unknown", number
    assert number > 10


def test_a_fence_killed_at_any_moment_is_finished_by_the_next_worker(world: World) -> None:
    type(world.cluster).objects.update(policy={"max_power_ons_per_hour": 60})
    number, killed = 0, True
    while killed:
        number += 17
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
    trust.distrust(world.bmc(there).pk, "it lied", world.clock.time)
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
