"""A Redfish service that hangs, floods, lies or sends elsewhere: typed, in time, no session."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fencing.domain.power import PowerProblem, PowerState
from fencing.power.port import PowerError
from fencing.power.redfish import Redfish
from tests.contracts import redfish_server as wire
from tests.contracts.ipmi_sim import DEADLINE, PASSWORD, failure
from tests.contracts.redfish_server import RESET, ROOT, SESSIONS, SYSTEM, SYSTEMS, FaultyBmc

PATIENCE = 1.0  # seconds: the deadline of questions that are not answered


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[FaultyBmc]:
    with FaultyBmc(wire.certificate(tmp_path)) as running:
        yield running


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[FaultyBmc]:
    with FaultyBmc(wire.certificate(tmp_path, "stranger")) as running:
        yield running


def hang(asked: wire.Asked) -> None:
    asked.hang()


def flood(asked: wire.Asked) -> None:
    asked.begin(200, 1 << 40)
    while not asked.server.bmc.ended.is_set():
        asked.wfile.write(b" " * 65536)


def bomb(asked: wire.Asked) -> None:
    asked.answer(200, b"[" * 100_000)


def garbage(asked: wire.Asked) -> None:
    asked.answer(200, b"<html>login: " + PASSWORD.encode())


def a_list(asked: wire.Asked) -> None:
    asked.answer(200, b'["Off"]')


def broken_off(asked: wire.Asked) -> None:
    asked.begin(200, 1000)
    asked.wfile.write(b'{"PowerState": "Off"')
    asked.close_connection = True


def failing(asked: wire.Asked) -> None:
    asked.answer(500, {"error": {"message": PASSWORD}})


def logged_out(asked: wire.Asked) -> None:
    asked.answer(401)


def dripping(asked: wire.Asked) -> None:
    """One byte of a header now and then: no pause is long, and it never ends."""
    asked.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not asked.server.bmc.ended.wait(0.05):
        asked.wfile.write(b"x")


FAULTS: dict[wire.Fault, PowerProblem] = {
    hang: PowerProblem.TIMED_OUT,
    dripping: PowerProblem.TIMED_OUT,
    flood: PowerProblem.UNREACHABLE,
    bomb: PowerProblem.UNREACHABLE,
    garbage: PowerProblem.UNREACHABLE,
    a_list: PowerProblem.UNREACHABLE,
    broken_off: PowerProblem.UNREACHABLE,
    failing: PowerProblem.UNREACHABLE,
    logged_out: PowerProblem.REFUSED_AUTH,
}


@pytest.mark.parametrize("where", [ROOT, SYSTEMS, SYSTEM])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_hostile_answer_is_typed_in_time_and_leaves_no_session(
    bmc: FaultyBmc, fault: wire.Fault, where: str
) -> None:
    bmc.faults["GET", where] = fault
    slow = FAULTS[fault] is PowerProblem.TIMED_OUT
    deadline = PATIENCE if slow else DEADLINE
    error, took = failure(lambda: Redfish().read(bmc.at(), deadline=deadline))
    assert error.problem is FAULTS[fault]
    assert took < deadline + 0.5
    assert PASSWORD not in str(error)
    assert bmc.leaked == set()
    assert len(bmc.opened) == (0 if where == ROOT else 1)


@pytest.mark.parametrize("fault", [hang, dripping, failing])
def test_a_command_that_is_not_answered_leaves_no_session(
    bmc: FaultyBmc, fault: wire.Fault
) -> None:
    bmc.faults["POST", RESET] = fault
    error, took = failure(lambda: Redfish().turn_off(bmc.at(), deadline=2 * PATIENCE))
    assert error.problem is FAULTS[fault]
    assert took < 2 * PATIENCE + 0.5
    assert bmc.leaked == set()


@pytest.mark.parametrize("rest", [hang, flood])
def test_a_session_is_ended_although_the_answer_that_opened_it_never_ends(
    bmc: FaultyBmc, rest: wire.Fault
) -> None:
    def opened(asked: wire.Asked) -> None:
        asked.begin(201, 1 << 40, **asked.open_session())
        if rest is hang:
            asked.hang()
        while not asked.server.bmc.ended.is_set():
            asked.wfile.write(b" " * 65536)

    bmc.faults["POST", SESSIONS] = opened
    failure(lambda: Redfish().read(bmc.at(), deadline=2 * PATIENCE))
    assert len(bmc.opened) == 1
    assert bmc.leaked == set()


def test_a_session_that_is_named_only_in_the_body_is_ended(bmc: FaultyBmc) -> None:
    def opened(asked: wire.Asked) -> None:
        headers = asked.open_session()
        asked.answer(201, {"@odata.id": bmc.opened[-1]}, X_Auth_Token=headers["X_Auth_Token"])

    bmc.faults["POST", SESSIONS] = opened
    assert Redfish().read(bmc.at(), deadline=DEADLINE).state is PowerState.ON
    assert bmc.deleted == bmc.opened


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("method", "where"), [("GET", SYSTEMS), ("POST", SESSIONS)])
def test_a_redirect_to_another_host_is_not_followed(
    bmc: FaultyBmc, stranger: FaultyBmc, method: str, where: str, status: int
) -> None:
    target = f"https://127.0.0.1:{stranger.port}{where}/"
    # The same path here would do: it is the other host that is not gone to.
    bmc.faults[method, f"{where}/"] = lambda asked: asked.answer(200, bmc.resource(where))
    bmc.faults[method, where] = lambda asked: asked.answer(status, Location=target)
    error, _ = failure(lambda: Redfish().read(bmc.at(verify="off"), deadline=DEADLINE))
    assert error.problem is PowerProblem.BAD_SETTINGS
    assert error.field == "address"
    assert stranger.asked == []
    assert bmc.leaked == set()


def test_a_redirect_on_the_same_host_is_followed_a_few_times(bmc: FaultyBmc) -> None:
    bmc.faults["GET", SYSTEMS] = lambda asked: asked.answer(308, Location=f"{SYSTEMS}/")
    bmc.faults["GET", f"{SYSTEMS}/"] = lambda asked: asked.answer(200, bmc.resource(SYSTEMS))
    assert Redfish().read(bmc.at(), deadline=DEADLINE).state is PowerState.ON

    bmc.faults["GET", SYSTEMS] = lambda asked: asked.answer(308, Location=SYSTEMS)
    error, _ = failure(lambda: Redfish().read(bmc.at(), deadline=DEADLINE))
    assert error.problem is PowerProblem.BAD_SETTINGS


@pytest.mark.parametrize("form", ["https://127.0.0.1:{port}{path}", "//127.0.0.1:{port}{path}"])
def test_a_link_to_another_host_is_no_link(bmc: FaultyBmc, stranger: FaultyBmc, form: str) -> None:
    bmc.reset = {"target": form.format(port=stranger.port, path=RESET)}
    error, _ = failure(lambda: Redfish().turn_off(bmc.at(verify="off"), deadline=DEADLINE))
    assert error.problem is PowerProblem.BAD_SETTINGS
    assert stranger.asked == []


def test_a_deadline_that_has_passed_asks_nothing(bmc: FaultyBmc) -> None:
    error, _ = failure(lambda: Redfish().read(bmc.at(), deadline=0))
    assert error.problem is PowerProblem.TIMED_OUT
    assert bmc.leaked == set()


def test_it_can_be_asked_from_a_thread_that_runs_a_loop(bmc: FaultyBmc) -> None:
    async def ask() -> PowerState:
        return Redfish().read(bmc.at(), deadline=DEADLINE).state

    assert asyncio.run(ask()) is PowerState.ON


def test_a_port_that_speaks_no_tls_is_told(bmc: FaultyBmc) -> None:
    async def serve(ask: Callable[[int], None]) -> None:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 this is something else\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            await asyncio.to_thread(ask, server.sockets[0].getsockname()[1])

    found: list[PowerError] = []

    def ask(port: int) -> None:
        at = bmc.at()
        other = type(at)(1, "redfish", at.address, port, at.username, at.password, at.options)
        found.append(failure(lambda: Redfish().read(other, deadline=DEADLINE))[0])

    asyncio.run(serve(ask))
    assert found[0].problem is PowerProblem.UNREACHABLE
    assert "TLS" in str(found[0])
