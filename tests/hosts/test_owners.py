"""Several engines on the real tables: who looks, who is asked as well, and who is left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from fencing.domain.power import PowerProblem
from fencing.models import FenceOperation, PowerController
from fencing.selectors import cluster_facts
from fencing.services import power
from fencing.tasks import look
from hosts.domain.looks import KernelSign
from hosts.models import Engine, Host
from hosts.services import engines, looks, owners, work
from portal import tasks
from portal.celery import POLL_QUEUE, app
from portal.lib import node
from portal.lib.ha.owners import ranked
from portal.lib.queue import CeleryQueue
from tests.vms.world import PACE, World
from vms.operations.looking import LOOK, look_at, try_to_hear

ONE, TWO = "engine1", "engine2"


@contextmanager
def being(name: str) -> Iterator[None]:
    """Let this process be that engine."""
    node.install(lambda: node.Node(name, None))
    try:
        yield
    finally:
        node.install(None)


@pytest.fixture
def pair(both: World) -> World:
    """Two live engines, of which the first owns node1."""
    engines.join(TWO, both.clock.time)
    alive(both, ONE, TWO)
    Host.objects.update(owner=ONE)
    return both


def alive(world: World, *names: str) -> None:
    Engine.objects.filter(name__in=names).update(beat_at=world.clock.time)


def asked(world: World, engine: str) -> None:
    """``engine`` takes its turn to look at node1."""
    world.clock.forward(3)
    alive(world, ONE, TWO)
    Host.objects.filter(name="node1").update(look_due_at=world.clock.time)
    with being(engine):
        assert look_at(world.host("node1").pk, PACE)


def deaf(world: World, engine: str, seconds: float = 10) -> None:
    since = world.clock.time - timedelta(seconds=seconds)
    Engine.objects.filter(name=engine).update(deaf_since=since)


def test_a_host_is_silent_only_when_both_have_asked_in_vain(pair: World) -> None:
    pair.hosts["node1"].isolated = True
    asked(pair, ONE)
    assert (pair.host("node1").status, pair.host("node1").owner) == ("connecting", TWO)
    asked(pair, ONE)  # out of its turn: still only one opinion
    assert (pair.host("node1").status, pair.host("node1").missed) == ("connecting", 2)
    asked(pair, TWO)
    assert pair.host("node1").status == "non_responsive"


def test_a_dead_engine_is_not_waited_for(pair: World) -> None:
    pair.hosts["node1"].isolated = True
    Engine.objects.filter(name=TWO).update(beat_at=pair.clock.time - timedelta(seconds=6))
    for _ in range(2):
        pair.clock.forward(3)
        alive(pair, ONE)
        Host.objects.filter(name="node1").update(look_due_at=pair.clock.time)
        assert look_at(pair.host("node1").pk, PACE)
    assert pair.host("node1").status == "non_responsive"
    assert pair.host("node1").owner == ONE


def test_the_answer_to_the_second_puts_the_first_in_doubt_and_keeps_the_host(pair: World) -> None:
    pair.hosts["node1"].isolated = True
    asked(pair, ONE)
    pair.hosts["node1"].isolated = False
    asked(pair, TWO)
    row = pair.host("node1")
    assert (row.status, row.missed, row.owner) == ("up", 0, TWO)
    assert Engine.objects.get(name=ONE).deaf_since is not None
    assert Engine.objects.get(name=TWO).deaf_since is None
    owners.assign(pair.clock.time)
    assert pair.host("node1").owner == TWO


def test_a_look_is_left_to_the_engine_whose_host_it_is(pair: World) -> None:
    pk = pair.host("node1").pk
    before = pair.host("node1").look_version
    pair.clock.forward(3)
    with being(TWO):
        look(pk, 1)
    assert pair.host("node1").look_version == before
    assert pair.queue.addressed == [(LOOK, (pk, 1), ONE)]
    look(pk)
    assert pair.host("node1").look_version == before + 1
    assert pair.queue.addressed[-1] == (LOOK, (pk,), ONE)


def test_every_host_goes_to_the_engine_whose_it_is_and_from_the_dead_to_the_living(
    pair: World,
) -> None:
    owners.assign(pair.clock.time)
    rows = {row.pk: row.owner for row in Host.objects.all()}
    assert rows == {pk: ranked(pk, [ONE, TWO])[0] for pk in rows}
    pair.clock.forward(6)
    alive(pair, ONE)
    owners.assign(pair.clock.time)
    assert set(Host.objects.values_list("owner", flat=True)) == {ONE}


def test_a_silent_host_keeps_its_turn_while_hosts_are_shared_out(pair: World) -> None:
    pk = pair.host("node1").pk
    last = ranked(pk, [ONE, TWO])[1]
    Host.objects.filter(pk=pk).update(missed=1, owner=last)
    owners.assign(pair.clock.time)
    assert pair.host("node1").owner == last
    Host.objects.filter(pk=pk).update(missed=0)
    owners.assign(pair.clock.time)
    assert pair.host("node1").owner != last


def test_an_engine_in_doubt_leaves_work_to_one_that_hears(pair: World) -> None:
    now, mine = pair.clock.time, engines.me()
    op = power.ask("check", pair.host("node1").pk, now=now)
    deaf(pair, ONE, 0)
    assert work.claim(FenceOperation, op.pk, tag=mine, now=now, lease_s=8) is None
    Engine.objects.filter(name=TWO).update(beat_at=now - timedelta(seconds=6))
    assert work.claim(FenceOperation, op.pk, tag=mine, now=now, lease_s=8) is not None


def test_an_engine_in_doubt_says_nothing_of_a_bmc(pair: World) -> None:
    way, now = PowerController.objects.get(host__name="node1"), pair.clock.time
    deaf(pair, ONE, 0)

    def told(problem: PowerProblem) -> str:
        power.record_problem(way, problem, "none", asked_at=now, now=now)
        return str(PowerController.objects.get(pk=way.pk).problem)

    assert told(PowerProblem.UNREACHABLE) == ""
    assert told(PowerProblem.REFUSED_AUTH) == "refused_auth"


def test_a_deaf_engine_finds_out_that_it_hears_again(pair: World) -> None:
    deaf(pair, ONE)
    for name in pair.hosts:
        pair.hosts[name].isolated = True
    try_to_hear()
    assert Engine.objects.get(name=ONE).deaf_since is not None
    for name in pair.hosts:
        pair.hosts[name].isolated = False
    try_to_hear()
    assert Engine.objects.get(name=ONE).deaf_since is not None, "it tries every 5 s only"
    pair.clock.forward(5)
    before = list(Host.objects.values_list("look_version", "missed"))
    try_to_hear()
    row = Engine.objects.get(name=ONE)
    assert (row.deaf_since, row.hears_since) == (None, pair.clock.time)
    assert list(Host.objects.values_list("look_version", "missed")) == before


def test_the_plan_knows_who_has_not_asked(pair: World) -> None:
    pair.hosts["node1"].isolated = True
    asked(pair, ONE)
    host = cluster_facts(pair.cluster.pk, pair.clock.time).host(pair.host("node1").pk)
    assert host is not None
    assert host.unasked == TWO
    asked(pair, TWO)
    host = cluster_facts(pair.cluster.pk, pair.clock.time).host(pair.host("node1").pk)
    assert host is not None
    assert host.unasked == ""


def test_when_nobody_had_heard_anybody_old_misses_are_void(pair: World) -> None:
    for name in pair.hosts:
        pair.hosts[name].isolated = True
    asked(pair, ONE)
    asked(pair, TWO)
    assert pair.host("node1").status == "non_responsive"
    pair.hosts["node1"].isolated = False
    asked(pair, TWO)
    assert Engine.objects.get(name=TWO).hears_since == pair.clock.time
    assert Engine.objects.get(name=ONE).hears_since is None


def test_an_engine_that_counted_as_dead_begins_a_new_epoch(pair: World) -> None:
    before = engines.me()
    pair.clock.forward(5)
    engines.beat(pair.clock.time)
    assert engines.me() == before
    pair.clock.forward(5.1)
    engines.beat(pair.clock.time)
    assert engines.me().epoch == before.epoch + 1


def test_what_a_dead_engine_held_is_taken_over_and_refused_it(pair: World) -> None:
    now = pair.clock.time
    op = power.ask("check", pair.host("node1").pk, now=now)
    mine = work.claim(FenceOperation, op.pk, tag=engines.me(), now=now, lease_s=8)
    assert mine is not None
    pair.clock.forward(5.1)
    alive(pair, TWO)
    with being(TWO):
        tasks.sweep()
        assert ("fencing.advance", (op.pk,), None) in pair.queue.sent
        assert not work.is_mine(mine, pair.clock.time)
        other = work.claim(FenceOperation, op.pk, tag=engines.me(), now=pair.clock.time, lease_s=8)
        assert other is not None
        assert engines.bury(pair.clock.time) == []
    assert not work.wait(mine, pair.clock.time, 0, "late")
    engines.beat(pair.clock.time)
    assert engines.me().epoch == mine.epoch + 2
    assert not Engine.objects.get(name=ONE).buried


def test_a_process_of_an_older_life_can_do_nothing(pair: World) -> None:
    life = Engine.objects.get(name=ONE).life
    node.install(lambda: node.Node(ONE, life))
    try:
        pair.clock.forward(9)
        tasks.beat()
        mine = engines.me()
        assert (mine.epoch, engines.is_current(mine)) == (life + 1, True)
        engines.join(ONE, pair.clock.time)
        pair.clock.forward(1)
        tasks.beat()
        assert not engines.is_current(engines.me())
        assert Engine.objects.get(name=ONE).beat_at < pair.clock.time
    finally:
        node.install(None)


def test_with_one_engine_an_unanswered_look_is_all_it_takes(both: World) -> None:
    both.hosts["node1"].isolated = True
    for _ in range(2):
        both.clock.forward(3)
        Host.objects.filter(name="node1").update(look_due_at=both.clock.time)
        claim = looks.claim_look(both.host("node1").pk, PACE, now=both.clock.time)
        assert claim is not None
        looks.record_missed(claim, text="none", kernel=KernelSign.UNKNOWN, now=both.clock.time)
    assert both.host("node1").status == "non_responsive"


def test_a_sign_of_life_waits_in_the_queue_of_the_looks() -> None:
    assert app.conf.task_routes["portal.beat"] == {"queue": POLL_QUEUE}
    assert app.conf.task_routes["vms.look"] == {"queue": POLL_QUEUE}


def test_a_message_for_one_engine_goes_to_the_queue_of_its_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there: list[object] = []

    def publish(*_: object, queue: object = None, **_more: object) -> None:
        there.append(getattr(queue, "name", queue))

    monkeypatch.setattr(app.amqp, "send_task_message", publish)
    CeleryQueue().send("vms.look", (1,), None, TWO)
    CeleryQueue().send("vms.look", (2,), None)
    assert there == ["poll.engine2", POLL_QUEUE]
