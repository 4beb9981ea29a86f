"""Claims, records, leases and epochs: one winner, and late results change nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from fencing.models import FenceOperation
from hosts.models import Cluster, Engine, EngineLease, Host
from hosts.services import engines, leases, work
from hosts.services.engines import Tag
from portal.core.models import OperationState
from portal.core.services import broken_seal, record_event
from tests.core.racing import race
from tests.vms.moments import Moments

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def tag(either: str) -> Tag:
    """An engine that has just joined."""
    return engines.join("engine1", T0)


@pytest.fixture
def op(tag: Tag) -> FenceOperation:
    """An operation that is due."""
    host = Host.objects.create(
        name="node1", uri="qemu+tls://node1/system", status_since=T0, look_due_at=T0,
        cluster=Cluster.objects.create(name="main"),
    )  # fmt: skip
    return FenceOperation.objects.create(host=host, kind="check", requested_at=T0, due_at=T0)


def claim(op: FenceOperation, tag: Tag, now: datetime = T0) -> FenceOperation | None:
    return work.claim(FenceOperation, op.pk, tag=tag, now=now, lease_s=8)


def test_of_many_claims_at_once_one_wins(op: FenceOperation, tag: Tag) -> None:
    told = race(lambda _: claim(op, tag), 8)
    assert not [item for item in told if isinstance(item, Exception)]
    won = [item for item in told if item is not None]
    assert len(won) == 1
    op.refresh_from_db()
    assert (op.state, op.version, op.owner, op.epoch) == ("acting", 1, "engine1", 1)
    assert op.due_at == T0 + timedelta(seconds=10)


def test_what_is_not_due_or_over_cannot_be_claimed(op: FenceOperation, tag: Tag) -> None:
    assert claim(op, tag, T0 - timedelta(seconds=1)) is None
    first = claim(op, tag)
    assert first is not None
    assert claim(op, tag, T0 + timedelta(seconds=9)) is None
    work.finish(first, T0, OperationState.DONE, "done")
    assert claim(op, tag, T0 + MINUTE) is None


def test_a_result_that_comes_after_the_claim_was_taken_over_changes_nothing(
    op: FenceOperation, tag: Tag
) -> None:
    first = claim(op, tag)
    second = claim(op, tag, T0 + MINUTE)
    assert first is not None
    assert second is not None
    assert not work.finish(first, T0, OperationState.FAILED, "late")
    assert not work.wait(first, T0, 5, "late")
    assert work.finish(second, T0, OperationState.DONE, "in time")
    assert not work.finish(second, T0, OperationState.FAILED, "twice")
    op.refresh_from_db()
    assert (op.state, [item["text"] for item in op.steps]) == ("done", ["in time"])


def test_a_worker_frozen_inside_its_claim_does_not_take_another_ones_for_its_own(
    op: FenceOperation, tag: Tag
) -> None:
    results: list[FenceOperation | None] = []

    def meanwhile() -> None:
        results.append(claim(op, tag, T0 + MINUTE))

    with connection.execute_wrapper(Moments(3, meanwhile, in_transactions=False)):
        first = claim(op, tag)
    assert results[0] is not None
    assert first is None


def test_the_claim_of_an_old_epoch_is_void(op: FenceOperation, tag: Tag) -> None:
    mine = claim(op, tag)
    assert mine is not None
    assert work.is_mine(mine, T0)
    newer = engines.join("engine1", T0)
    assert newer.epoch == tag.epoch + 1
    assert not work.is_mine(mine, T0)
    assert not engines.is_current(tag)
    assert claim(op, tag, T0 + MINUTE) is None
    assert claim(op, newer, T0 + MINUTE) is not None


def test_a_claim_that_has_run_out_is_nobodys(op: FenceOperation, tag: Tag) -> None:
    mine = claim(op, tag)
    assert mine is not None
    assert work.time_left(mine, T0, 60) == 10
    assert work.time_left(mine, T0 + MINUTE, 60) == 0
    assert not work.is_mine(mine, T0 + timedelta(seconds=10))


def test_claims_of_a_dead_worker_are_due_at_once_and_its_late_results_void(
    op: FenceOperation, tag: Tag
) -> None:
    mine = claim(op, tag)
    assert mine is not None
    assert work.release_claims(FenceOperation, Tag("engine2", 9), T0) == 0
    assert work.release_claims(FenceOperation, tag, T0) == 1
    assert not work.is_mine(mine, T0)
    assert not work.finish(mine, T0, OperationState.DONE, "late")
    again = claim(op, tag)
    assert again is not None
    assert again.was_acting  # type: ignore[attr-defined]  # a fact of the claim


def test_what_somebody_acts_on_cannot_be_withdrawn(op: FenceOperation, tag: Tag) -> None:
    mine = claim(op, tag)
    op.refresh_from_db()
    assert not work.cancel_unclaimed(op, T0, "no")
    assert mine is not None
    work.wait(mine, T0, 0, "waits")
    stale = FenceOperation.objects.get(pk=op.pk)
    op.refresh_from_db()
    assert work.cancel_unclaimed(op, T0, "yes")
    assert not work.cancel_unclaimed(stale, T0, "again")


def test_a_wait_of_days_does_not_fill_the_page_with_one_sentence(
    op: FenceOperation, tag: Tag
) -> None:
    now = T0
    for _ in range(5):
        mine = claim(op, tag, now)
        assert mine is not None
        work.wait(mine, now, 3, "still unknown")
        now += timedelta(seconds=3)
    op.refresh_from_db()
    assert [item["text"] for item in op.steps] == ["still unknown"]


def test_of_many_who_want_a_lease_one_gets_it(either: str) -> None:
    for now in (T0, T0 + MINUTE):  # a new one, then one that has run out
        told = race(lambda n, now=now: leases.take("beat", f"p{n}", ttl_s=4, now=now), 8)  # type: ignore[misc]  # mypy and lambdas
        assert sorted(map(str, told)) == ["False"] * 7 + ["True"], told


def test_a_lease_is_renewed_by_its_holder_and_kept_from_others(either: str) -> None:
    def take(holder: str, seconds: float) -> bool:
        return leases.take("beat", holder, ttl_s=4, now=T0 + timedelta(seconds=seconds))

    assert take("a", 0)
    assert take("a", 3)
    assert not take("b", 6.9)
    assert not take("b", 7)
    assert take("b", 7.1)
    assert not take("a", 7.2)
    assert EngineLease.objects.get().epoch == 2


def test_each_join_is_an_epoch_of_its_own(either: str) -> None:
    told = race(lambda _: engines.join("engine1", T0).epoch, 6)
    assert sorted(map(str, told)) == ["1", "2", "3", "4", "5", "6"]
    assert Engine.objects.get().epoch == 6


def test_events_and_claims_of_many_threads_leave_a_whole_chain(
    op: FenceOperation, tag: Tag
) -> None:
    def work_on(number: int) -> None:
        mine = claim(op, tag, T0 + number * MINUTE)
        record_event("test", f"{number}: {mine is not None}", now=T0)

    race(work_on, 6)
    assert broken_seal() is None
