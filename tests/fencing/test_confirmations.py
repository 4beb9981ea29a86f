"""A person's word that a host is off: what is refused, what is kept, what it does."""

import pytest

from fencing import operations
from fencing.domain.power import PowerState
from fencing.models import FenceOperation, HaResource, ManualConfirmation
from fencing.services import confirmations
from hosts.models import Host
from portal.core.models import User
from tests.vms.world import World
from vms.models import Proof, Vm
from vms.services import runs


def lost(world: World) -> tuple[Vm, str]:
    """A VM on a host of which nothing is heard any more, its BMC included."""
    type(world.cluster).objects.update(policy={"fence_retry_first": 600})
    vm = world.started("web1")
    there = world.copies(vm)[0]
    world.pull_cord(there)
    world.bmcs[there].reachable = False
    world.until(lambda: world.host(there).status == "non_responsive", 30)
    world.run(12)
    assert world.runs(vm) == [(1, there, "open")]
    return vm, there


def confirm(
    world: World, name: str, *, typed: str = "", reason: str = "I saw it", override: bool = False
) -> FenceOperation:
    user, _ = User.objects.get_or_create(username="ann")
    op = confirmations.request(
        world.host(name), user, typed_name=typed or name, reason=reason, override=override,
        now=world.clock.time,
    )  # fmt: skip
    operations.advance(op.pk)
    return FenceOperation.objects.get(pk=op.pk)


def test_a_person_who_went_and_looked_is_believed(both: World) -> None:
    vm, there = lost(both)
    asked = both.clock.time
    op = confirm(both, there, reason="the rack is dark")
    assert op.state == "done"
    assert both.runs(vm)[0] == (1, there, "manual")
    proof = Proof.objects.get(kind="manual")
    assert (proof.actor, proof.at) == ("ann", asked)
    assert proof.evidence["typed_name"] == there
    assert "the rack is dark" in proof.text
    word = ManualConfirmation.objects.get()
    assert (word.actor, word.reason, word.override) == ("ann", "the rack is dark", False)
    assert word.known["status"] == "non_responsive"
    both.until(lambda: both.copies(vm), 20)
    both.whole()


@pytest.mark.parametrize(
    ("typed", "reason", "said"),
    [("node9", "seen", "exactly"), ("", " ", "how you know"), ("NODE", "seen", "exactly")],
)
def test_a_wrong_name_or_no_reason_is_refused(
    world: World, typed: str, reason: str, said: str
) -> None:
    vm, there = lost(world)
    op = confirm(world, there, typed=typed, reason=reason)
    assert op.state == "refused"
    assert said in op.error_text
    assert world.runs(vm) == [(1, there, "open")]
    assert not ManualConfirmation.objects.exists()


def test_the_word_is_refused_while_the_bmc_says_on(world: World) -> None:
    vm, there = lost(world)
    world.bmcs[there].reachable, world.bmcs[there].on = True, True
    world.clock.forward(11)  # what was asked before is too old to be used
    op = confirm(world, there)
    assert op.state == "refused"
    assert "power is on" in op.error_text
    assert world.runs(vm) == [(1, there, "open")]
    world.whole()


def test_an_override_is_kept_in_the_proof_and_shouted(both: World) -> None:
    vm, there = lost(both)
    both.bmcs[there].reachable, both.bmcs[there].lie = True, PowerState.ON
    both.clock.forward(11)  # what was asked before is too old to be used
    op = confirm(both, there, override=True)
    assert op.state == "done"
    assert both.runs(vm)[0] == (1, there, "manual")
    assert Proof.objects.get().evidence["override"] is True
    assert ManualConfirmation.objects.get().override
    assert "OVERRIDE by ann" in both.events("confirm.override")[0].text


@pytest.mark.parametrize("ha", ["available", "fencing", "degraded", "recovering"])
def test_nobody_can_confirm_a_host_that_answers(world: World, ha: str) -> None:
    """Whatever HA is doing about it: its copies execute, and would be started twice."""
    vm = world.started("web1")
    there = world.copies(vm)[0]
    HaResource.objects.filter(host__name=there).update(state=ha)
    op = confirm(world, there, override=True)
    assert op.state == "refused"
    assert world.runs(vm) == [(1, there, "open")]


def test_a_host_that_answers_while_the_bmc_is_asked_is_not_confirmed(world: World) -> None:
    vm, there = lost(world)
    world.clock.forward(30)

    def back(kind: str, where: str) -> None:
        if kind == "read":
            Host.objects.filter(name=there).update(status="up")

    world.before.append(back)
    op = confirm(world, there)
    assert op.state == "refused"
    assert world.runs(vm) == [(1, there, "open")]


def test_the_portals_own_machine_cannot_be_confirmed(world: World) -> None:
    vm, there = lost(world)
    Host.objects.filter(name=there).update(is_self=True)
    assert confirm(world, there).state == "refused"
    assert world.runs(vm) == [(1, there, "open")]


def test_a_word_ends_no_run_that_began_after_it_was_given(world: World) -> None:
    vm, there = lost(world)
    user = User.objects.create(username="bob")
    op = confirmations.request(
        world.host(there), user, typed_name=there, reason="seen", override=False,
        now=world.clock.time,
    )  # fmt: skip
    late = world.add_vm("late", wanted_up=False)
    world.clock.forward(1)
    runs.start_run(late.pk, world.host(there), why="test", now=world.clock.time)
    operations.advance(op.pk)
    assert world.runs(vm)[0][2] == "manual"
    assert world.runs(late) == [(1, there, "open")]


def test_a_wrong_word_is_disproved_when_the_host_comes_back(world: World) -> None:
    """It was only cut off: its copy is suspended at once, and everybody is told."""
    vm = world.started("web1")
    there = world.copies(vm)[0]
    world.run(3)
    world.hosts[there].isolated = True
    world.bmcs[there].reachable = False
    world.until(lambda: world.host(there).status == "non_responsive", 30)
    world.run(12)
    watch, world.no_second_copy = world.no_second_copy, lambda: None  # type: ignore[method-assign]  # the wrong word splits it
    assert confirm(world, there).state == "done"
    world.until(lambda: len(world.copies(vm)) == 2, 20)
    world.hosts[there].isolated = False
    world.until(lambda: len(world.copies(vm)) == 1, 60)
    world.no_second_copy = watch  # type: ignore[method-assign]  # whole again
    world.run(4)
    assert world.copies(vm) != [there]
    assert world.host(there).disproved
    assert world.events("alert.proof_disproved")
    assert world.events("alert.split_brain")
