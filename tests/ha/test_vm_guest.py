"""The inside of a VM: its heartbeat, when silence counts, and a restart without a second copy."""

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from fencing.models import HaResource
from fencing.operations import asking, resources
from fencing.operations.providers.vm_guest import VmGuest
from fencing.services import ha_claims, ha_resources
from portal.lib.ha.evidence import Answer
from portal.lib.ha.provider import Ask, Subject
from portal.lib.ha.record import Work
from tests.ha.conftest import QUICK
from tests.vms.conftest import world
from tests.vms.watched import BEGIN
from tests.vms.world import World
from vms.models import Vm

__all__ = ["world"]

ASK = Ask(BEGIN, 0.5)
Doors = tuple[socket.socket, str]


@pytest.fixture
def door() -> Iterator[Doors]:
    """A port that takes connections."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        yield found, f"127.0.0.1:{found.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """A port that gives no answer at all: its queue is full."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
        place = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(place)
        yield f"127.0.0.1:{place[1]}"
        for one in waiting:
            one.close()


def refused() -> str:
    """Return a port that refuses."""
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        return f"127.0.0.1:{gone.getsockname()[1]}"


def subject(vm: Vm, **options: str) -> Subject:
    return Subject("vm", str(vm.pk), vm.name, options)


def health(vm: Vm, **options: str) -> tuple[Answer, str]:
    found = VmGuest().is_healthy(subject(vm, **options), ASK)
    assert found.asked_at == ASK.asked_at
    return found.answer, found.text


@pytest.fixture
def guest(world: World) -> Vm:
    """A VM that runs, under HA."""
    return world.started("db1")


def test_a_heartbeat_that_takes_connections_is_well_and_one_that_refuses_is_not(
    guest: Vm, door: Doors
) -> None:
    assert health(guest, tcp=door[1])[0] is Answer.YES
    assert health(guest, tcp=refused())[0] is Answer.NO


def test_silence_counts_only_while_the_witness_answers(guest: Vm, door: Doors, silent: str) -> None:
    assert health(guest, tcp=silent)[0] is Answer.UNKNOWN
    assert health(guest, tcp=silent, witness=silent)[0] is Answer.UNKNOWN
    for witness in (door[1], refused()):
        answer, text = health(guest, tcp=silent, witness=witness)
        assert answer is Answer.NO
        assert f"while {witness} beside it answers" in text


@pytest.mark.parametrize(
    ("status", "answer"), [(200, Answer.YES), (204, Answer.YES), (503, Answer.NO), (302, Answer.NO)]
)
def test_a_page_is_well_where_it_answers_2xx(guest: Vm, status: int, answer: Answer) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/health"
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        place = f"127.0.0.1:{server.server_port}"
        page = subject(guest, url=f"http://{place}/health")
        assert VmGuest().is_healthy(page, Ask(BEGIN, 20)).answer is answer
        server.shutdown()
        thread.join()
    assert health(guest, url=f"http://{place}/health")[0] is Answer.NO


def test_a_page_that_never_answers_is_unknown(guest: Vm, door: Doors) -> None:
    answer, text = health(guest, url=f"http://{door[1]}/")
    assert (answer, "gave no answer" in text) == (Answer.UNKNOWN, True)


@pytest.mark.parametrize(
    ("fields", "options", "words"),
    [
        ({}, {}, "no heartbeat"),
        ({"ha": False}, {"tcp": "x"}, "HA is off"),
        ({"wanted_up": False}, {"tcp": "x"}, "wanted down"),
        ({"quarantined": True}, {"tcp": "x"}, "quarantined"),
    ],
)
def test_it_is_eligible_where_a_stop_would_be_followed_by_a_start(
    guest: Vm, fields: dict[str, bool], options: dict[str, str], words: str
) -> None:
    assert VmGuest().is_eligible(subject(guest, tcp="x"), ASK).answer is Answer.YES
    Vm.objects.filter(pk=guest.pk).update(**fields)
    found = VmGuest().is_eligible(subject(guest, **options), ASK)
    assert (found.answer, words in found.text) == (Answer.NO, True)


def test_a_vm_that_is_not_up_is_the_business_of_its_own_ha(guest: Vm) -> None:
    Vm.objects.filter(pk=guest.pk).update(state="starting")
    assert health(guest, tcp=refused()) == (Answer.UNKNOWN, "the VM is starting")
    found = VmGuest().recover(subject(guest, tcp="x"), ASK)
    assert (found.answer, found.text) == (Answer.NO, "the VM is starting")


def test_a_guest_is_never_fenced(guest: Vm) -> None:
    for question in (VmGuest().fence, VmGuest().has_activity):
        assert question(subject(guest), ASK).answer is Answer.UNKNOWN


def tend(world: World) -> None:
    """Ask what is due, beside everything else that the world does."""
    for work in Work:
        for pk in list(ha_claims.due(work, world.clock.time).values_list("pk", flat=True)):
            resources.step(pk, work)


def test_a_dead_guest_is_restarted_as_often_as_allowed_and_never_twice_at_a_time(
    world: World, guest: Vm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_left_behind", {})
    patience = QUICK | {"recover_attempts": 1, "health_timeout": 2, "recover_timeout": 5}
    fields = {
        "kind": "vm", "vm": guest, "provider": "vm-guest", "thresholds": patience,
        "options": {"tcp": refused()},
    }  # fmt: skip
    row = ha_resources.add(fields, actor="ann", now=world.clock.time)
    ha_resources.switch(row, on=True, actor="ann", now=world.clock.time)

    def state() -> HaResource:
        tend(world)
        return HaResource.objects.get(pk=row.pk)

    world.until(lambda: state().recoveries == 1, 20)
    world.until(lambda: len(world.runs(guest)) == 2 and world.vm(guest).state == "up", 60)
    assert [kind for _, _, kind in world.runs(guest)] == ["destroyed_by_us", "open"]
    assert world.vm(guest).wanted_up
    world.until(lambda: "without a person" in state().reason, 60)
    for _ in range(20):
        world.clock.time += timedelta(seconds=1)
        assert state().recoveries == 1, "the second time a person is asked"
    assert len(world.runs(guest)) == 2
