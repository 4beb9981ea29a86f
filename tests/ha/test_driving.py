"""Claims, late answers, lost engines, and providers that misbehave."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from fencing.models import HaResource
from fencing.operations import resources
from fencing.services import ha_claims, ha_resources, ha_switches
from fencing.services.ha_history import KEPT
from hosts.models import Cluster
from hosts.services import engines
from portal.core.models import Event
from portal.lib.ha.evidence import Answer, Evidence
from portal.lib.ha.provider import Capability
from portal.lib.ha.record import Finding, Work
from portal.lib.ha.states import HaEvent, HaState
from portal.lib.ha_registry import known
from tests.ha.conftest import Bench

ALL = frozenset(Capability)


def claim(bench: Bench, pk: int, work: Work = Work.HEALTH) -> ha_claims.Claim | None:
    return ha_claims.claim(pk, work, can=ALL, tag=engines.me(), now=bench.clock.time)


def answer(claimed: ha_claims.Claim, said: Answer) -> Finding:
    evidence = Evidence(said, "test", "said so", claimed.asked_at)
    return Finding(claimed.work, claimed.record.attempt, evidence)


def later(bench: Bench, seconds: float) -> None:
    bench.clock.time += timedelta(seconds=seconds)


def fencing(bench: Bench, **options: str) -> HaResource:
    """Return a resource about to be fenced."""
    usual: dict[str, Any] = {"health": "no", "activity": "no", "recover": "no", "fence": "no"}
    row = bench.add(**usual | options)
    return bench.until(row.pk, lambda row: row.state == "fencing" and row.fences > 0)


def test_a_question_is_claimed_once_and_its_answer_written_once(bench: Bench) -> None:
    pk = bench.add().pk
    mine = claim(bench, pk)
    assert mine is not None
    assert claim(bench, pk) is None
    assert ha_claims.record(mine, answer(mine, Answer.YES), bench.clock.time) is not None
    assert ha_claims.record(mine, answer(mine, Answer.NO), bench.clock.time) is None
    row = bench.row(pk)
    assert (row.owner, row.state, row.failures) == ("engine1", "available", 0)
    assert row.said["answer"] == "yes"


def test_an_engine_of_an_older_epoch_claims_nothing(bench: Bench) -> None:
    pk, old = bench.add().pk, engines.me()
    engines.join("engine1", bench.clock.time)
    assert ha_claims.claim(pk, Work.HEALTH, can=ALL, tag=old, now=bench.clock.time) is None
    assert claim(bench, pk) is not None


def test_an_answer_after_a_persons_word_is_too_late(bench: Bench) -> None:
    pk = bench.add().pk
    mine = claim(bench, pk)
    assert mine is not None
    ha_resources.declare_degraded(bench.row(pk), "cable", actor="ann", now=bench.clock.time)
    assert ha_claims.record(mine, answer(mine, Answer.NO), bench.clock.time) is None
    assert bench.row(pk).state == "degraded"


def test_a_lost_health_check_is_taken_over_after_its_lease_and_loses_no_count(
    bench: Bench,
) -> None:
    pk = bench.add(health="no", activity="no").pk
    bench.until(pk, lambda row: row.rounds == 2)
    later(bench, 1)
    before = bench.row(pk)
    assert claim(bench, pk) is not None
    other = engines.join("engine2", bench.clock.time)
    take = partial(ha_claims.claim, pk, Work.HEALTH, can=ALL, tag=other)
    assert take(now=bench.clock.time) is None
    later(bench, 13)
    taken = take(now=bench.clock.time)
    assert taken is not None
    assert (taken.record.rounds, taken.record.idle) == (before.rounds, before.idle) == (2, 2)
    assert bench.row(pk).owner == "engine2"


@pytest.mark.parametrize(
    ("work", "state", "left"),
    [(Work.RECOVERY, "recovering", "checking"), (Work.FENCE, "fencing", "fencing")],
)
def test_an_act_whose_engine_died_is_never_simply_repeated(
    bench: Bench, work: Work, state: str, left: str
) -> None:
    pk = bench.add(health="no").pk
    now = bench.clock.time
    HaResource.objects.filter(pk=pk).update(state=state, work=work, due_at=now, since=now)
    assert claim(bench, pk, work) is not None
    later(bench, 13)
    assert claim(bench, pk, work) is None
    row = bench.row(pk)
    assert (row.state, row.acting, row.recoveries + row.fences) == (left, False, 1)
    assert row.work != work
    assert "nobody knows how far it came" in row.reason


def test_a_worker_that_starts_makes_due_what_its_predecessor_was_asking(bench: Bench) -> None:
    pk = bench.add().pk
    assert claim(bench, pk) is not None
    assert ha_claims.release(engines.Tag("other", 9), bench.clock.time) == 0
    assert ha_claims.release(engines.me(), bench.clock.time) == 1
    assert claim(bench, pk) is not None


def test_an_act_that_waited_for_long_asks_for_its_health_first(bench: Bench) -> None:
    pk = bench.add(health="yes").pk
    now = bench.clock.time
    HaResource.objects.filter(pk=pk).update(state="fencing", work="fence", due_at=now)
    later(bench, 40)
    assert claim(bench, pk, Work.FENCE) is None
    bench.tick()
    assert bench.row(pk).state == "available"


def test_a_cluster_that_only_observes_acts_on_nothing(bench: Bench) -> None:
    Cluster.objects.update(mode="observe")
    pk = bench.add(health="no", activity="no", recover="yes").pk
    bench.until(pk, lambda row: row.state == "recovering")
    bench.pass_time(120, every=10)
    assert (bench.row(pk).state, bench.row(pk).recoveries) == ("recovering", 0)
    Cluster.objects.update(mode="armed")
    bench.until(pk, lambda row: row.recoveries == 1)


def test_an_act_is_not_begun_when_the_cluster_was_disarmed_after_the_claim(bench: Bench) -> None:
    pk = fencing(bench).pk
    HaResource.objects.filter(pk=pk).update(work="fence", due_at=bench.clock.time)
    mine = claim(bench, pk, Work.FENCE)
    assert mine is not None
    assert ha_claims.is_mine(mine, bench.clock.time)
    Cluster.objects.update(mode="observe")
    assert not ha_claims.is_mine(mine, bench.clock.time)
    Cluster.objects.update(mode="armed")
    engines.join("engine1", bench.clock.time)
    assert not ha_claims.is_mine(mine, bench.clock.time)


@pytest.mark.parametrize("fault", ["raises", "hangs", "nonsense", "unknown"])
@pytest.mark.parametrize("question", ["health", "activity", "recover", "eligible"])
def test_a_provider_in_trouble_is_unknown_and_fences_nobody(
    bench: Bench, fault: str, question: str
) -> None:
    usual: dict[str, Any] = {"health": "no", "activity": "no", "recover": "no", "fence": "yes"}
    eligible_too = {"health": fault} if question == "eligible" else {}
    pk = bench.add(**usual | {question: fault} | eligible_too).pk
    row = bench.until(pk, lambda row: told_of(fault, row), 20)
    if question == "recover":
        assert row.state == "checking", "nobody knows what it did: new rounds tell"
        return
    for _ in range(6):
        bench.pass_time(1)
        assert bench.row(pk).state not in ("recovering", "fencing", "fenced")


def told_of(fault: str, row: HaResource) -> bool:
    """Whether the resource, or its history, says what was wrong with the provider."""
    told = [str(row.said), *row.transitions.values_list("why", flat=True)]
    return any(word in text for word in WORDS[fault] for text in told)


WORDS = {
    "raises": ("SimulatedTrouble",),
    "hangs": ("no answer within", "still hangs"),
    "nonsense": ("returned bool",),
    "unknown": ("is set to unknown",),
}


@pytest.mark.parametrize("fault", ["raises", "hangs", "nonsense", "unknown", "no"])
def test_a_fence_in_trouble_proves_nothing_and_is_tried_again(bench: Bench, fault: str) -> None:
    row = fencing(bench, fence=fault)
    bench.until(row.pk, lambda row: row.fences >= 3)
    assert bench.row(row.pk).state == "fencing"
    [told] = Event.objects.filter(kind="resource.needs_person")
    assert "not proven off" in told.text
    if fault == "hangs":
        return
    bench.set(row.pk, fence="yes")
    bench.until(row.pk, lambda row: row.state == "fenced")


def test_who_turns_healthy_before_the_power_command_is_let_go(bench: Bench) -> None:
    row = fencing(bench)
    bench.set(row.pk, health="yes", fence="yes")
    bench.until(row.pk, lambda row: row.state == "available")
    assert bench.log(row.pk)[-1] == "released fencing→available"


def test_a_provider_that_is_gone_is_unknown(bench: Bench, providers: Any) -> None:
    pk = bench.add().pk
    HaResource.objects.filter(pk=pk).update(provider="gone")
    bench.pass_time(5)
    row = bench.row(pk)
    assert row.state == "checking"
    assert "not installed" in row.said["text"]
    providers.HA_PROVIDERS = providers.HA_PROVIDERS | {"gone": "nowhere.Gone"}
    known.cache_clear()
    bench.pass_time(2)
    assert "it does not load: ModuleNotFoundError" in bench.row(pk).said["text"]


def test_every_transition_is_history_and_an_event_and_the_oldest_go(bench: Bench) -> None:
    row = bench.add(health="no")
    bench.until(row.pk, lambda row: row.state == "checking")
    told = Event.objects.filter(kind__startswith="resource.", evidence__provider="simulator")
    kinds = ["resource.available", "resource.suspect", "resource.checking"]
    assert [event.kind for event in told] == kinds
    assert told[0].actor == "ann"
    assert told[1].cluster == bench.cluster.pk
    spare = row.transitions.first()
    assert spare is not None
    many = [type(spare)(resource=row, at=spare.at, event="healthy", old="suspect", new="available")]
    type(spare).objects.bulk_create(many * (KEPT + 5))
    ha_switches.send(bench.row(row.pk), HaEvent.DISABLED, why="x", actor="", now=bench.clock.time)
    assert row.transitions.count() == KEPT
    assert bench.log(row.pk)[-1] == "disabled checking→disabled"


def test_what_belongs_to_a_removed_cluster_is_not_asked_about(bench: Bench) -> None:
    pk = bench.add().pk
    Cluster.objects.update(removed_at=bench.clock.time)
    assert claim(bench, pk) is None
    assert resources.step(pk, Work.HEALTH) is False


def test_a_row_that_was_changed_by_hand_is_put_right_by_the_next_tick(bench: Bench) -> None:
    pk = bench.add(on=False).pk
    HaResource.objects.filter(pk=pk).update(state=HaState.AVAILABLE)
    bench.tick()
    assert bench.row(pk).state == "disabled"
