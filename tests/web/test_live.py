"""The live channel: who may listen, what is told, and that nonsense ends it cleanly."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.asgi import application
from portal.consumers import (
    BAD_KIND,
    BAD_TEXT,
    SIGNED_OUT,
    TOO_BIG,
    LiveConsumer,
    Question,
    Sieve,
    judge,
)
from portal.core.models import Role, RoleBinding, User
from portal.lib.live import GROUP
from tests.api.conftest import Centre, add_person
from tests.web.line import Line

pytestmark = pytest.mark.django_db(transaction=True)


def listener(user: Any) -> Line:
    """Return an open page of ``user``, not connected yet."""
    return Line(LiveConsumer.as_asgi(), "/ws/live/", user=user)


async def push(kind: str, pk: int | str, event: str = "changed") -> None:
    """Announce a change as portal.lib.live does."""
    layer = get_channel_layer()
    message = {"type": kind, "id": pk, "event": event}
    await layer.group_send(GROUP, {"type": "live.changed", "message": message})


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine on a loop of its own."""
    asyncio.run(work())  # type: ignore[arg-type]  # a coroutine is awaitable


def test_a_stranger_and_somebody_without_a_role_are_turned_away(centre: Centre) -> None:
    nobody = add_person("nobody")

    async def work() -> None:
        for user in (AnonymousUser(), nobody):
            assert not await listener(user).connect()

    run(work)


def test_changes_travel_together_and_each_only_once(centre: Centre) -> None:
    viewer = add_person("vera", Role.VIEWER)

    async def work() -> None:
        line = listener(viewer)
        assert await line.connect()
        for _ in range(3):
            await push("host", centre.node1.pk, "status")
        await push("vm", centre.web1.pk)
        told = await line.hear()
        assert told["type"] == "changes"
        assert {(one["type"], one["id"]) for one in told["changes"]} == {
            ("host", centre.node1.pk),
            ("vm", centre.web1.pk),
        }
        assert await line.silent(0.4)
        await push("host", centre.node2.pk)
        assert (await line.hear())["changes"][0]["id"] == centre.node2.pk
        await line.leave()

    run(work)


def test_a_narrow_role_hears_only_of_its_own(centre: Centre) -> None:
    narrow = add_person("narrow", Role.VIEWER, "host", centre.node1.pk)

    async def work() -> None:
        line = listener(narrow)
        assert await line.connect()
        await push("host", centre.node2.pk)
        await push("host", centre.node1.pk)
        await push("vm", centre.web1.pk)
        await push("vm", centre.db1.pk)
        await push("alert", 0)
        told = (await line.hear())["changes"]
        assert {(one["type"], one["id"]) for one in told} == {
            ("host", centre.node1.pk),
            ("vm", centre.db1.pk),
            ("alert", 0),
        }
        await line.leave()

    run(work)


def test_whoever_loses_every_role_is_signed_out(centre: Centre) -> None:
    viewer = add_person("vera", Role.VIEWER)

    async def work() -> None:
        line = listener(viewer)
        assert await line.connect()
        await RoleBinding.objects.all().adelete()
        await push("host", centre.node1.pk)
        assert await line.hear_close() == SIGNED_OUT

    run(work)


def test_many_pages_are_answered_with_the_queries_of_a_few(centre: Centre) -> None:
    """Ten people of three scopes hear of one change, each of their own."""
    everybody = [add_person(f"wide{number}", Role.VIEWER) for number in range(4)]
    own = {"cluster": centre.cluster.pk, "host": centre.node1.pk}
    narrow = [
        add_person(f"{kind}{number}", Role.VIEWER, kind, pk)
        for kind, pk in own.items()
        for number in range(3)
    ]
    questions: list[Question] = [
        (user.pk, [{"type": "host", "id": pk, "event": "status"}])
        for user in everybody + narrow
        for pk in (centre.node1.pk, centre.node2.pk)
    ]
    with CaptureQueriesContext(connection) as queries:
        answers = judge(questions)
    assert len(queries) == 4  # users, bindings, and the hosts of either narrow scope
    heard = {
        user.username: {one["id"] for told in answers[place : place + 2] for one in told or ()}
        for user, place in zip(everybody + narrow, range(0, len(questions), 2), strict=True)
    }
    both = {centre.node1.pk, centre.node2.pk}
    assert heard["wide3"] == both
    assert heard["cluster0"] == both
    assert heard["host2"] == {centre.node1.pk}


def test_pages_hear_again_after_an_outage_of_the_database(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = add_person("vera", Role.VIEWER)
    change: list[dict[str, str | int]] = [{"type": "host", "id": centre.node1.pk}]

    def broken(_asked: object) -> Any:
        raise DatabaseError("gone")

    async def work() -> None:
        sieve = Sieve()
        with monkeypatch.context() as patch:
            patch.setattr("portal.consumers.judge", broken)
            waiting = [sieve.allowed(viewer.pk, change) for _ in range(3)]
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(one) for one in found] == [DatabaseError] * 3
        assert await sieve.allowed(viewer.pk, change) == change

    run(work)


NONSENSE: list[tuple[dict[str, Any], int]] = [
    ({"text": "{"}, BAD_TEXT),
    ({"text": ""}, BAD_TEXT),
    ({"text": '{"type": "subscribe", "to": "everything"}'}, BAD_TEXT),
    ({"text": "[" * 1000}, BAD_TEXT),
    ({"text": "x" * 100_000}, TOO_BIG),
    ({"raw": b"\x00\xff"}, BAD_KIND),
]


@pytest.mark.parametrize(("frame", "code"), NONSENSE)
def test_nonsense_ends_the_line_with_a_code_and_no_exception(
    frame: dict[str, Any], code: int, centre: Centre, caplog: pytest.LogCaptureFixture
) -> None:
    viewer = add_person("vera", Role.VIEWER)

    async def work() -> None:
        line = listener(viewer)
        assert await line.connect()
        await line.say(**frame)
        assert await line.hear_close() == code

    with caplog.at_level(logging.WARNING):
        run(work)
    assert caplog.records == []


def test_a_ping_is_answered(centre: Centre) -> None:
    viewer = add_person("vera", Role.VIEWER)

    async def work() -> None:
        line = listener(viewer)
        assert await line.connect()
        await line.say(text='{"type": "ping"}')
        assert await line.hear() == {"type": "pong"}
        await line.leave()

    run(work)


@pytest.mark.parametrize(
    ("path", "origin", "welcome"),
    [
        ("/ws/live/", b"http://localhost", True),
        ("/ws/live/", b"http://evil.example", False),
        ("/ws/other/", b"http://localhost", False),
    ],
)
def test_the_channel_checks_session_and_origin(
    path: str, origin: bytes, welcome: bool, centre: Centre, client: Client
) -> None:
    user: User = add_person("vera", Role.VIEWER)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()

    async def work() -> None:
        headers = [(b"origin", origin), (b"cookie", cookie)]
        line = Line(application, path, headers=headers)
        connected = await line.connect()
        assert connected is welcome
        if connected:
            await line.leave()

    run(work)
