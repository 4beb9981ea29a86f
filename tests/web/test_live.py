"""The live channel: who may listen, what is told, and that nonsense ends it cleanly."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.contrib.sessions.backends.base import SessionBase
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.asgi import application
from portal.consumers import BAD_KIND, BAD_TEXT, SIGNED_OUT, TOO_BIG, LiveConsumer
from portal.consumers.sieve import Question, Sieve, judge
from portal.core.models import Role, RoleBinding, User
from portal.lib.live import GROUP
from tests.api.conftest import Centre, add_person
from tests.web.line import Line

pytestmark = pytest.mark.django_db(transaction=True)


def session_of(user: User | None) -> SessionBase:
    """Return the session of a browser in which ``user`` is signed in (None: nobody)."""
    browser = Client()
    if user is not None:
        browser.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return browser.session


def listener(session: SessionBase) -> Line:
    """Return an open page of a browser, not connected yet."""
    return Line(LiveConsumer.as_asgi(), "/ws/live/", session=session)


async def push(kind: str, pk: int | str, event: str = "changed") -> None:
    """Announce a change as portal.lib.live does."""
    layer = get_channel_layer()
    message = {"type": kind, "id": pk, "event": event}
    await layer.group_send(GROUP, {"type": "live.changed", "message": message})


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine on a loop of its own."""
    asyncio.run(work())  # type: ignore[arg-type]  # a coroutine is awaitable


def test_strangers_people_without_a_role_and_one_time_passwords_are_turned_away(
    centre: Centre,
) -> None:
    forced = add_person("new", Role.ADMIN)
    User.objects.filter(pk=forced.pk).update(must_change_password=True)
    sessions = [session_of(user) for user in (None, add_person("nobody"), forced)]

    async def work() -> None:
        for session in sessions:
            assert not await listener(session).connect()

    run(work)


def test_changes_travel_together_and_each_only_once(centre: Centre) -> None:
    viewer = session_of(add_person("vera", Role.VIEWER))

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
    narrow = session_of(add_person("narrow", Role.VIEWER, "host", centre.node1.pk))

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


def _disable(user: User, session: SessionBase) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _take_roles(user: User, session: SessionBase) -> None:
    RoleBinding.objects.filter(user=user).delete()


def _change_password(user: User, session: SessionBase) -> None:
    user.set_password("another pass phrase")
    user.save()


def _revoke(user: User, session: SessionBase) -> None:
    session.delete()


@pytest.mark.parametrize("what", [_disable, _take_roles, _change_password, _revoke])
@pytest.mark.parametrize("by", ["change", "ping"])
def test_who_may_no_longer_listen_is_told_nothing_more(
    what: Callable[[User, SessionBase], None], by: str, centre: Centre
) -> None:
    user = add_person("vera", Role.VIEWER)
    session = session_of(user)

    async def work() -> None:
        line = listener(session)
        assert await line.connect()
        await sync_to_async(what)(user, session)
        if by == "change":
            await push("host", centre.node1.pk)
        else:
            await line.say(text='{"type": "ping"}')
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
        (str(session_of(user).session_key), [{"type": "host", "id": pk, "event": "status"}])
        for user in everybody + narrow
        for pk in (centre.node1.pk, centre.node2.pk)
    ]
    few = questions[-2:]  # of one person
    with CaptureQueriesContext(connection) as queries_of_few:
        judge(few)
    with CaptureQueriesContext(connection) as queries:
        answers = judge(questions)
    assert len(queries) == len(queries_of_few) + 1  # the hosts of the other narrow scope
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
    viewer = str(session_of(add_person("vera", Role.VIEWER)).session_key)
    change: list[dict[str, str | int]] = [{"type": "host", "id": centre.node1.pk}]

    def broken(_asked: object) -> Any:
        raise DatabaseError("gone")

    async def work() -> None:
        sieve = Sieve()
        with monkeypatch.context() as patch:
            patch.setattr("portal.consumers.sieve.judge", broken)
            waiting = [sieve.allowed(viewer, change) for _ in range(3)]
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(one) for one in found] == [DatabaseError] * 3
        assert await sieve.allowed(viewer, change) == change

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
    viewer = session_of(add_person("vera", Role.VIEWER))

    async def work() -> None:
        line = listener(viewer)
        assert await line.connect()
        await line.say(**frame)
        assert await line.hear_close() == code

    with caplog.at_level(logging.WARNING):
        run(work)
    assert caplog.records == []


def test_a_ping_is_answered(centre: Centre) -> None:
    viewer = session_of(add_person("vera", Role.VIEWER))

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


def test_notifications_are_pushed_to_administrators_of_everything_alone(centre: Centre) -> None:
    people = [
        (False, session_of(add_person("vera", Role.VIEWER))),
        (False, session_of(add_person("clara", Role.ADMIN, "cluster", centre.cluster.pk))),
        (True, session_of(add_person("ann", Role.ADMIN))),
    ]

    async def work() -> None:
        for in_charge, session in people:
            line = listener(session)
            assert await line.connect()
            for pk in (0, 7):
                await push("delivery", pk)
            await push("notification-target", 1)
            await push("host", centre.node1.pk)
            told = {(one["type"], one["id"]) for one in (await line.hear())["changes"]}
            every = {("delivery", 0), ("delivery", 7), ("notification-target", 1)}
            hears = every if in_charge else set()
            assert told == hears | {("host", centre.node1.pk)}
            await line.leave()

    run(work)
