"""A live migration step by step, on hosts in memory: whoever is killed where, and who answers."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from hosts.domain.looks import GuestReason, GuestState
from hosts.hypervisor.memory_migrating import finish, give_up
from hosts.models import Host
from tests.vms.world import World, a_world
from vms.domain.states import EndReason, ProofKind, VmState
from vms.models import Proof, Run, Vm, VmOperation
from vms.services import inventory, migrating, runs
from vms.services.inventory import NotNow
from vms.services.runs import Evidence

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world() -> Iterator[World]:
    with a_world("node1", "node2", "node3") as made:
        yield made


@pytest.fixture
def web(world: World) -> Vm:
    """A VM that runs, and not on node3."""
    return world.started("web1")


def sides(world: World, vm: Vm) -> tuple[str, str]:
    """Return where it runs, and another host."""
    run = world.open_run(vm)
    assert run is not None
    return run.host.name, next(name for name in world.hosts if name != run.host.name)


def ask(world: World, vm: Vm, to: str) -> VmOperation:
    vm.refresh_from_db()
    return migrating.request(
        vm, Host.objects.get(name=to), by="alice", why="asked for", now=world.clock.time
    )


def carry(world: World, vm: Vm, source: str) -> None:
    """Let the copy be handed over."""
    finish(world.hosts[source].sending[vm.uuid], vm.uuid)


def the_op(vm: Vm) -> VmOperation:
    return VmOperation.objects.filter(vm=vm, kind="migrate").order_by("-pk")[0]


def test_a_run_that_arrives_ends_where_it_was_and_goes_on_as_the_next(
    world: World, web: Vm
) -> None:
    source, target = sides(world, web)
    ask(world, web, target)
    world.run(4)
    assert world.vm(web).state == VmState.MIGRATING
    carry(world, web, source)
    world.run(8)
    assert world.runs(web) == [(1, source, ProofKind.MIGRATED), (2, target, "open")]
    guest = world.hosts[target].guests[web.uuid]
    assert guest.stamp is not None
    assert guest.stamp.generation == 2
    assert the_op(web).state == "done"
    assert world.vm(web).state == VmState.UP


def test_while_it_moves_both_hosts_are_possible_holders_and_it_is_left_alone(
    world: World, web: Vm
) -> None:
    _, target = sides(world, web)
    ask(world, web, target)
    world.run(3)
    run = world.open_run(web)
    assert run is not None
    assert run.migrating_to is not None
    assert run.migrating_to.name == target
    with pytest.raises(NotNow, match="being migrated"):
        inventory.act(world.vm(web), "stop", actor="alice", now=world.clock.time)
    with pytest.raises(NotNow, match="cannot be migrated"):
        ask(world, web, target)


def test_a_failed_migration_leaves_it_and_clears_the_target_once_that_holds_nothing(
    world: World, web: Vm
) -> None:
    source, target = sides(world, web)
    ask(world, web, target)
    world.run(4)
    world.hosts[source].sending.clear()  # the target is told nothing, and waits on
    world.run(3)
    run = world.open_run(web)
    assert run is not None
    assert run.migrating_to is not None
    world.run(10)
    run = world.open_run(web)
    assert run is not None
    assert run.migrating_to is None
    assert web.uuid not in world.hosts[target].guests
    assert the_op(web).state == "failed"
    assert world.copies(web) == [source]


def test_a_cancelled_one_stays(world: World, web: Vm) -> None:
    source, target = sides(world, web)
    ask(world, web, target)
    world.run(4)
    assert migrating.cancel(the_op(web), now=world.clock.time)
    world.run(8)
    assert the_op(web).error_text == "cancelled: it stays where it was"
    assert world.runs(web) == [(1, source, "open")]


def test_one_that_takes_too_long_is_cancelled(world: World, web: Vm) -> None:
    source, target = sides(world, web)
    op = ask(world, web, target)
    VmOperation.objects.filter(pk=op.pk).update(data=op.data | {"timeout_s": 5})
    world.run(4)
    assert web.uuid in world.hosts[source].sending
    world.run(8)
    assert not world.hosts[source].sending
    assert world.runs(web) == [(1, source, "open")]


def test_a_late_one_runs_at_the_target_at_once_where_post_copy_is_allowed(
    world: World, web: Vm
) -> None:
    source, target = sides(world, web)
    op = ask(world, web, target)
    more = {"timeout_s": 5, "post_copy": True}
    VmOperation.objects.filter(pk=op.pk).update(data=op.data | more)
    world.run(15)
    assert [host for _, host, _ in world.runs(web)] == [source, target]


def prove_off(world: World, name: str) -> None:
    now = world.clock.time
    evidence = Evidence(ProofKind.MANUAL, now, f"{name} is off", EndReason.HOST_LOST)
    runs.close_runs_of_host(Host.objects.get(name=name).pk, evidence, now, began_by=now)


def test_a_proof_about_one_host_clears_only_that_one(world: World, web: Vm) -> None:
    source, target = sides(world, web)
    ask(world, web, target)
    prove_off(world, source)
    assert world.runs(web) == [(1, source, ProofKind.MANUAL), (2, target, "open")]
    prove_off(world, target)
    assert world.runs(web)[1][2] == ProofKind.MANUAL
    assert world.open_run(web) is None


def test_a_proof_about_the_target_leaves_the_run_with_its_source(world: World, web: Vm) -> None:
    source, target = sides(world, web)
    ask(world, web, target)
    prove_off(world, target)
    run = world.open_run(web)
    assert run is not None
    assert (run.host.name, run.migrating_to) == (source, None)
    world.run(3)
    assert the_op(web).state == "failed"


def test_a_proof_asked_for_before_it_began_clears_nobody(world: World, web: Vm) -> None:
    _, target = sides(world, web)
    before = world.clock.time
    world.clock.forward(1)
    ask(world, web, target)
    evidence = Evidence(ProofKind.POWER_OFF, before, "read off", EndReason.HOST_LOST)
    host = Host.objects.get(name=target).pk
    runs.close_runs_of_host(host, evidence, world.clock.time, began_by=before)
    run = world.open_run(web)
    assert run is not None
    assert run.migrating_to_id == host


def test_a_silent_source_proves_nothing_even_when_the_target_runs_it(world: World, web: Vm) -> None:
    source, target = sides(world, web)
    ask(world, web, target)
    world.run(4)
    carry(world, web, source)
    world.hosts[source].isolated = True
    world.run(6)
    assert [state for *_, state in world.runs(web)] == ["open"]
    world.hosts[source].isolated = False
    world.run(8)
    assert [host for _, host, _ in world.runs(web)] == [source, target]


def test_two_running_copies_are_a_split_and_the_second_is_suspended(world: World, web: Vm) -> None:
    source, target = sides(world, web)
    ask(world, web, target)
    world.run(4)
    copy = world.hosts[source].guests[web.uuid]
    give_up(world.hosts[source].sending[web.uuid], web.uuid)
    world.hosts[target].guests[web.uuid] = copy
    with pytest.raises(AssertionError):  # the world itself sees two of them
        world.run(3)
    world.hosts[target].set_guest(web.uuid, GuestState.PAUSED, GuestReason.USER)
    world.run(8)
    assert world.vm(web).quarantined


def test_it_is_followed_when_somebody_migrates_it_past_the_portal(world: World, web: Vm) -> None:
    source, target = sides(world, web)
    copy = world.hosts[source].guests.pop(web.uuid)
    world.hosts[target].guests[web.uuid] = copy
    world.look(target)
    world.run(4)
    assert world.runs(web) == [(1, source, ProofKind.MIGRATED), (2, target, "open")]
    assert not world.vm(web).quarantined


def test_a_target_must_answer_before_anything_is_sent(world: World, web: Vm) -> None:
    source, target = sides(world, web)
    world.hosts[target].isolated = True
    ask(world, web, target)
    world.run(6)
    assert "migrate" not in [kind for kind, _ in world.calls]
    assert world.runs(web) == [(1, source, "open")]


class Killed(BaseException):
    """The engine dies here."""


@pytest.mark.parametrize("at", range(1, 16))
def test_killed_at_any_call_it_ends_at_one_host_with_a_proof(
    world: World, web: Vm, at: int
) -> None:
    source, target = sides(world, web)
    ask(world, web, target)
    calls = 0

    def die(_kind: str, _where: str) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Killed

    world.after.append(die)
    for _ in range(60):
        try:
            world.run(1)
        except Killed:
            world.clock.forward(25)  # its claim runs out
        if web.uuid in world.hosts[source].sending and calls > at:
            carry(world, web, source)
    assert len(world.copies(web)) == 1
    run = world.open_run(web)
    assert run is not None
    assert [run.host.name] == world.copies(web)
    assert run.migrating_to is None
    assert Proof.objects.count() == Run.objects.filter(vm=web).count() - 1
    assert run.started_at <= world.clock.time + timedelta(seconds=1)
