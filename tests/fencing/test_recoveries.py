"""Soft recovery in rows: one restart for each silence, what it brings, and who is told."""

from collections.abc import Iterator

import pytest
from django.db import connection

from fencing import operations, recovery
from fencing.domain.recovery import CURE, DEADLINE_S, TRIES, RecoveryOutcome
from fencing.models import Alert, FenceOperation, Incident
from fencing.recovery.memory import MemoryRestarter
from fencing.recovery.port import Tried
from fencing.services.incidents import timeline
from fencing.services.power import ADVANCE, RECOVER
from hosts.hypervisor.port import Target
from hosts.models import Cluster, Host
from hosts.services import engines, signs, work
from portal.core.models import Event
from portal.tasks import sweep
from tests.vms.world import World
from vms.models import Vm


class Doors(MemoryRestarter):
    """Remembers who was asked with which deadline; no transaction may be open then."""

    def __init__(self, world: World) -> None:
        super().__init__(
            lambda name: world.hosts[name].restart_daemon(),
            lambda name: world.hosts[name].alive and not world.hosts[name].isolated,
        )
        self.asked: list[tuple[str, float]] = []

    def restart(self, target: Target, *, deadline: float) -> Tried:
        assert not connection.in_atomic_block
        self.asked.append((target.name, deadline))
        return super().restart(target, deadline=deadline)


@pytest.fixture
def doors(both: World) -> Iterator[Doors]:
    Cluster.objects.update(policy={"soft_recovery": "on"})
    adapter = Doors(both)
    recovery.install(adapter)
    yield adapter
    recovery.install(None)


def hung(world: World, *, mute: bool = False) -> tuple[Vm, str]:
    """A VM whose host's libvirtd hangs and is silent by now."""
    vm = world.started("web1")
    (there,) = world.copies(vm)
    world.hosts[there].freeze(mute=mute)
    world.until(lambda: world.host(there).status == "non_responsive", 30)
    return vm, there


def ops(kind: str = "recover") -> list[FenceOperation]:
    return list(FenceOperation.objects.filter(kind=kind).order_by("pk"))


@pytest.mark.parametrize("mute", [False, True])
def test_a_hung_libvirtd_is_restarted_and_its_vm_runs_on(
    both: World, doors: Doors, mute: bool
) -> None:
    vm, there = hung(both, mute=mute)
    both.until(lambda: both.host(there).status == "up", 30)
    both.run(5)
    assert doors.asked == [(there, DEADLINE_S)]
    assert both.runs(vm) == [(1, there, "open")]
    assert both.copies(vm) == [there]
    assert ops("fence") == []
    (op,) = ops()
    assert (op.state, op.attempt, op.error_code) == ("done", 1, "")
    assert both.ha(there) == "available"
    both.whole()


def test_off_by_default_nobody_is_asked(both: World, doors: Doors) -> None:
    Cluster.objects.update(policy={})
    hung(both)
    both.run(20)
    assert (doors.asked, ops()) == ([], [])


def test_the_incident_shows_each_step_and_the_alert_says_what_to_do(
    both: World, doors: Doors
) -> None:
    doors.fails = dict.fromkeys(both.hosts, RecoveryOutcome.REFUSED_AUTH)
    _, there = hung(both)
    both.run(40)
    assert len(doors.asked) == 1, "a door that is locked is tried once"
    (op,) = ops()
    assert (op.state, op.error_code) == ("failed", "refused_auth")
    assert op.error_cure == CURE[RecoveryOutcome.REFUSED_AUTH]
    shown = timeline(Incident.objects.get(host__name=there))
    kinds = [event.kind for event in shown]
    assert kinds.index("recovery.asked") < kinds.index("recovery.tried")
    (tried,) = [event for event in shown if event.kind == "recovery.tried"]
    assert tried.evidence["state"] == "refused_auth"
    alert = Alert.objects.get(kind="recovery_failed", closed_at__isnull=True)
    assert CURE[RecoveryOutcome.REFUSED_AUTH] in alert.text
    assert both.ha(there) == "degraded"
    both.hosts[there].thaw()
    both.run(5)
    assert not Alert.objects.filter(kind="recovery_failed", closed_at__isnull=True).exists()


def test_tries_are_bounded_and_a_new_silence_begins_anew(both: World, doors: Doors) -> None:
    doors.fails = dict.fromkeys(both.hosts, RecoveryOutcome.FAILED)
    _, there = hung(both)
    both.run(60)
    assert len(doors.asked) == TRIES
    (op,) = ops()
    assert (op.state, op.attempt) == ("failed", TRIES)
    both.hosts[there].thaw()
    both.until(lambda: both.host(there).status == "up", 20)
    doors.fails.clear()
    both.hosts[there].freeze()
    both.until(lambda: len(doors.asked) == TRIES + 1, 30)
    both.until(lambda: both.host(there).status == "up", 20)
    assert [item.state for item in ops()] == ["failed", "done"]


def test_a_dead_host_is_fenced_after_one_try(both: World, doors: Doors) -> None:
    vm = both.started("web1")
    (there,) = both.copies(vm)
    both.hosts[there].panic()
    both.until(lambda: ops("fence"), 40)
    assert doors.asked == [(there, DEADLINE_S)]
    both.until(lambda: both.runs(vm)[0][2] == "power_off", 30)
    both.run(15)
    assert [item.state for item in ops()] == ["cancelled"], "no try beside the fence or after it"
    assert len(doors.asked) == 1


def test_what_a_host_answers_over_ssh_is_a_sign_of_life_and_no_proof(
    both: World, doors: Doors
) -> None:
    doors.fails = dict.fromkeys(both.hosts, RecoveryOutcome.FAILED)
    vm, there = hung(both, mute=True)
    both.until(lambda: doors.asked, 20)
    seen = both.host(there)
    assert seen.kernel_seen is not None
    both.until(lambda: both.ha(there) == "degraded", 5)
    assert ops("fence") == []
    assert both.runs(vm) == [(1, there, "open")]
    both.until(lambda: ops("fence"), 30)


@pytest.mark.parametrize("outcome", [RecoveryOutcome.UNKNOWN_HOST_KEY, RecoveryOutcome.TIMED_OUT])
def test_who_does_not_prove_to_be_the_host_gives_no_sign_of_it(
    both: World, doors: Doors, outcome: RecoveryOutcome
) -> None:
    doors.fails = dict.fromkeys(both.hosts, outcome)
    _, there = hung(both, mute=True)
    both.until(lambda: doors.asked, 20)
    assert both.host(there).kernel_seen is None


def test_an_older_or_late_answer_is_no_sign_of_life(both: World, doors: Doors) -> None:
    doors.fails = dict.fromkeys(both.hosts, RecoveryOutcome.TIMED_OUT)
    _, there = hung(both)
    row = both.host(there)
    assert row.last_seen is not None
    assert row.kernel_seen is not None
    signs.note_kernel(row.pk, row.last_seen)
    assert both.host(there).kernel_seen == row.kernel_seen, "it was asked before the silence"
    both.hosts[there].thaw()
    both.until(lambda: both.host(there).status == "up", 20)
    signs.note_kernel(row.pk, both.clock.time)
    assert both.host(there).kernel_seen is None


def test_a_worker_that_lost_its_claim_asks_nobody_and_records_nothing(
    both: World, doors: Doors
) -> None:
    doors.fails = dict.fromkeys(both.hosts, RecoveryOutcome.TIMED_OUT)
    hung(both)
    (op,) = ops()
    FenceOperation.objects.filter(pk=op.pk).update(due_at=both.clock.time)
    before = len(doors.asked)

    class Slow(Doors):
        def restart(self, target: Target, *, deadline: float) -> Tried:
            both.clock.forward(60)
            work.release_claims(FenceOperation, engines.me(), both.clock.time)
            return Tried(RecoveryOutcome.RESTARTED, "too late")

    recovery.install(Slow(both))
    operations.advance(op.pk)
    recovery.install(doors)
    op.refresh_from_db()
    assert op.is_open
    assert op.data.get("outcome") != "restarted"
    assert len(doors.asked) == before
    assert not Event.objects.filter(kind="recovery.tried", text__contains="too late").exists()


@pytest.mark.parametrize("change", ["answers", "policy"])
def test_a_try_that_is_not_wanted_any_more_is_not_made(
    both: World, doors: Doors, change: str
) -> None:
    doors.fails = dict.fromkeys(both.hosts, RecoveryOutcome.TIMED_OUT)
    _, there = hung(both)
    both.until(lambda: doors.asked, 10)
    if change == "answers":
        Host.objects.filter(name=there).update(status="up")
    else:
        Cluster.objects.update(policy={})
    (op,) = ops()
    FenceOperation.objects.filter(pk=op.pk).update(due_at=both.clock.time)
    operations.advance(op.pk)
    op.refresh_from_db()
    assert op.state == "cancelled"
    assert len(doors.asked) == 1


def test_ssh_holds_up_no_fence_it_has_a_queue_of_its_own(both: World, doors: Doors) -> None:
    doors.fails = dict.fromkeys(both.hosts, RecoveryOutcome.TIMED_OUT)
    hung(both)
    (op,) = ops()
    both.queue.sent.clear()
    FenceOperation.objects.filter(pk=op.pk).update(due_at=both.host("node1").status_since)
    sweep()
    woken = [task for task, args, _ in both.queue.sent if args == (op.pk,)]
    assert RECOVER in woken
    assert ADVANCE not in woken
