"""Many threads at the same moment, on both databases: one winner, and nobody is hurt."""

from datetime import timedelta
from threading import Event

from django.db import transaction

from fencing.domain.power import PowerState
from fencing.models import FenceOperation, HaResource, Incident, PowerController
from fencing.services import incidents, power
from fencing.services.rounds import run_round
from hosts.models import Host
from hosts.services import looks
from portal.core.services import broken_seal
from tests.core.racing import race
from tests.vms.world import PACE, World
from vms import operations
from vms.domain.states import ProofKind
from vms.models import Proof, Run, VmOperation
from vms.services import requests, runs
from vms.services.runs import AlreadyOpen, Evidence

THREADS = 8


def test_of_many_starts_at_once_one_opens_the_run(both: World) -> None:
    vm = both.add_vm("web1", wanted_up=False)
    hosts = [both.host(name).pk for name in both.hosts]
    now = both.clock.time

    def start(number: int) -> VmOperation:
        return requests.request_start(vm.pk, hosts[number % 3], why="race", now=now)

    told = race(start, THREADS)
    assert sum(isinstance(item, VmOperation) for item in told) == 1
    assert sum(isinstance(item, AlreadyOpen) for item in told) == THREADS - 1, told
    assert Run.objects.filter(vm=vm).count() == 1
    assert both.vm(vm).generation == 1
    assert broken_seal() is None


def test_of_starts_and_adoptions_at_once_one_opens_the_run(both: World) -> None:
    vm = both.add_vm("web1", wanted_up=False)
    host, now = both.host("node1"), both.clock.time

    def open_it(number: int) -> Run:
        if number % 2:
            return runs.start_run(vm.pk, host, why="race", now=now)
        return runs.adopt_run(vm.pk, host, seen_at=now, now=now)

    told = race(open_it, THREADS)
    assert sum(isinstance(item, Run) for item in told) == 1
    assert sum(isinstance(item, AlreadyOpen) for item in told) == THREADS - 1, told


def test_of_many_proofs_at_once_one_ends_the_run(both: World) -> None:
    vm = both.started("web1")
    run = both.open_run(vm)
    assert run is not None
    now = both.clock.time

    def close(number: int) -> bool:
        kind = (ProofKind.MANUAL, ProofKind.POWER_OFF)[number % 2]
        return runs.close_run(run.pk, Evidence(kind=kind, at=now, text=str(number)), now)

    told = race(close, THREADS)
    assert sorted(map(str, told)) == ["False"] * (THREADS - 1) + ["True"], told
    assert Proof.objects.count() == 1
    assert broken_seal() is None


def test_a_quarantine_and_a_start_at_once_leave_no_called_run(both: World) -> None:
    host, now = both.host("node1"), both.clock.time
    for turn in range(4):
        vm = both.add_vm(f"vm{turn}", wanted_up=False)

        def do(number: int, pk: int = vm.pk) -> None:
            if number:
                runs.quarantine(pk, why="race", host=host, now=now)
            else:
                op = requests.request_start(pk, host.pk, why="race", now=now)
                VmOperation.objects.filter(pk=op.pk).update(due_at=now + timedelta(hours=1))

        race(do, 2)
        assert both.vm(vm).quarantined
        run = both.open_run(vm)
        assert run is None or not runs.mark_calling(run.pk)


def test_of_many_workers_on_one_start_one_calls_the_host(both: World) -> None:
    vm = both.add_vm("web1", wanted_up=False)
    op = requests.request_start(vm.pk, both.host("node1").pk, why="race", now=both.clock.time)

    def work(_: int) -> None:
        for _ in range(4):
            operations.advance(op.pk)

    assert not [item for item in race(work, THREADS) if item is not None]
    assert both.called("start") == ["node1"]
    assert both.copies(vm) == ["node1"]


def test_of_many_looks_at_once_one_has_the_turn(both: World) -> None:
    host = both.host("node1")
    now = both.clock.time + timedelta(seconds=30)
    told = race(lambda _: looks.claim_look(host.pk, PACE, now=now) is not None, THREADS)
    assert sorted(map(str, told)) == ["False"] * (THREADS - 1) + ["True"], told


def test_rounds_and_readings_at_once_fence_once_and_open_one_incident(both: World) -> None:
    """Whatever is aborted by the database is only repeated, never half done."""
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.hosts[there].isolated = True
    both.until(lambda: both.host(there).status == "non_responsive", 30)
    both.clock.forward(8)
    now = both.clock.time
    row = both.bmc(there)

    def work(number: int) -> None:
        asked = now + timedelta(milliseconds=number)
        power.record_reading(
            row, state=PowerState.ON, guid=both.hosts[there].uuid, asked_at=asked, now=asked
        )
        run_round(both.cluster.pk, now + timedelta(seconds=1))

    told = [item for item in race(work, THREADS) if item is not None]
    assert told == []
    assert FenceOperation.objects.filter(kind="fence").count() == 1
    assert Incident.objects.filter(closed_at__isnull=True).count() == 1
    assert broken_seal() is None


def test_rounds_that_overlap_keep_the_limit_of_fences_together(both: World) -> None:
    """One round sees one host overdue, the next two: it must see the fence of the first."""
    both.clock.forward(60)
    now = both.clock.time
    type(both.cluster).objects.update(policy={"max_unreachable_pct": 100, "fence_alone": "on"})
    for name, silent_s in (("node1", 9), ("node2", 20)):
        seen = now - timedelta(seconds=silent_s)
        Host.objects.filter(name=name).update(
            status="non_responsive", last_seen=seen, missed_at=now
        )
        HaResource.objects.filter(host__name=name).update(state="checking")
    PowerController.objects.update(asked_at=now)
    planned, second_done = Event(), Event()

    def work(number: int) -> None:
        if number:
            planned.wait(20)
            run_round(both.cluster.pk, now + timedelta(seconds=2))
            second_done.set()
            return
        with transaction.atomic():
            run_round(both.cluster.pk, now)
            planned.set()
            second_done.wait(0.5)  # it must not get there before this commits

    assert [item for item in race(work, 2) if item is not None] == []
    fenced = FenceOperation.objects.filter(kind="fence").values_list("host__name", flat=True)
    assert list(fenced) == ["node2"]


def test_of_many_incidents_at_once_one_is_opened(both: World) -> None:
    host, now = both.host("node1").pk, both.clock.time
    told = race(lambda _: incidents.open_incident(host, now).pk, THREADS)
    assert len(set(map(str, told))) == 1, told
    vm = both.add_vm("web1")
    told = race(lambda _: incidents.open_vm_incident(vm.pk, 0, now).pk, THREADS)
    assert len(set(map(str, told))) == 1, told


def test_looks_and_rounds_at_once_do_not_block_each_other_for_ever(both: World) -> None:
    """Everybody who tells of something takes turns; nobody holds what the other waits for."""
    vm = both.started("web1")
    for name in both.hosts:
        both.hosts[name].isolated = True
    names = list(both.hosts)
    both.clock.forward(4)

    def work(number: int) -> None:
        for _ in range(3):
            if number < 3:
                both.look(names[number])
            else:
                run_round(both.cluster.pk, both.clock.time)

    told = [item for item in race(work, 6) if item is not None]
    assert told == []
    assert both.open_run(vm) is not None
    assert broken_seal() is None
