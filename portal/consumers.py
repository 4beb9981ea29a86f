"""The live channel: tells open pages which objects changed, and nothing else.

A page fetches what changed over HTTP.  What a client sends can only be a ping;
anything else closes the line with a code that says why, and never raises.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db.models import Model, Q

from fencing.models import Alert, Incident
from fencing.permissions import TABLES, by_numbers, events_in, incidents_in, visible
from hosts.models import Host
from hosts.permissions import hosts_in
from portal.core.models import Event, Role
from portal.core.permissions import Scopes, scopes_of_many
from portal.lib.live import CHANGED, GROUP
from vms.models import Vm
from vms.permissions import vms_in

#: Changes within this many seconds travel together.
GATHER_S = 0.25
#: More changes than this at once: the page had better fetch everything.
MANY = 500
LONGEST_FRAME = 1024

# RFC 6455 codes, and two of our own for people who must sign in again.
BAD_TEXT, BAD_KIND, TOO_BIG, SIGNED_OUT = 1007, 1003, 1009, 4401

#: Kind of change -> table and the filter for what certain scopes cover.
SIEVES: dict[str, tuple[type[Model], Any]] = {
    "host": (Host, hosts_in),
    "vm": (Vm, vms_in),
    "incident": (Incident, incidents_in),
    "alert": (Alert, by_numbers),
    "event": (Event, events_in),
}
Change = dict[str, str | int]
#: Whose page asks, and about which changes; which of them they may know of, if anything.
Question = tuple[int, list[Change]]
Answer = list[Change] | None


class NobodyHere(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels ships no types
    """Answers every other address: there is no channel here."""

    async def connect(self) -> None:
        """Refuse."""
        await self.close()


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # as above
    """One open page."""

    groups = (GROUP,)

    async def connect(self) -> None:
        """Accept a signed-in person who may see something."""
        self.waiting: dict[tuple[str, str | int], Change] = {}
        self.sender: asyncio.Task[None] | None = None
        user = self.scope.get("user")
        known = user is not None and user.pk is not None
        if not known or not await database_sync_to_async(_scopes)(user.pk):
            await self.close()
            return
        self.user_id = user.pk
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Forget what was still to be sent."""
        sender = getattr(self, "sender", None)
        if sender is not None:
            sender.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer a ping; close on anything else."""
        if bytes_data is not None:
            await self._refuse(BAD_KIND, "frame: send text, not bytes")
        elif text_data is not None and len(text_data) > LONGEST_FRAME:
            await self._refuse(TOO_BIG, f"frame: send at most {LONGEST_FRAME} characters")
        elif not _is_ping(text_data or ""):
            await self._refuse(BAD_TEXT, 'type: send {"type": "ping"} or nothing')
        else:
            await self.send(text_data='{"type": "pong"}')

    async def _refuse(self, code: int, reason: str) -> None:
        """Close with what was wrong and the cure; a line that broke by itself is closed already."""
        with suppress(RuntimeError):
            await self.close(code=code, reason=reason)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Take a change at once: channels would visit the database's thread before each.

        With a few hundred pages those visits took longer than all that is asked there.
        """
        if message["type"] == CHANGED:
            await self.live_changed(message)
        else:
            await super().dispatch(message)

    async def live_changed(self, event: dict[str, Any]) -> None:
        """Gather a change; the first one of a batch sends it off a moment later."""
        message = event["message"]
        self.waiting[message["type"], message["id"]] = message
        if self.sender is None or self.sender.done():
            self.sender = asyncio.create_task(self._send_soon())

    async def _send_soon(self) -> None:
        while self.waiting:
            await asyncio.sleep(GATHER_S)
            changes, self.waiting = list(self.waiting.values()), {}
            await self._send(changes)

    async def _send(self, changes: list[Change]) -> None:
        if len(changes) > MANY:
            await self.send(text_data='{"type": "resync"}')
            return
        allowed = await _sieve().allowed(self.user_id, changes)
        if allowed is None:
            await self.close(SIGNED_OUT)
        elif allowed:
            await self.send(text_data=json.dumps({"type": "changes", "changes": allowed}))


def _is_ping(text: str) -> bool:
    try:
        return bool(json.loads(text) == {"type": "ping"})
    except (ValueError, RecursionError):
        return False


def _scopes(user_id: int) -> Scopes:
    return scopes_of_many([user_id], Role.VIEWER).get(user_id, Scopes())


class Sieve:
    """Tells many open pages at once what each may know of.

    One change wakes every page.  Were each to ask the database by itself, the last of a
    few hundred would hear of it seconds later; so those that wait are answered together.
    """

    def __init__(self) -> None:
        self._asked: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def allowed(self, user_id: int, changes: list[Change]) -> Answer:
        """Return the changes that a person may know of now; None when they may know nothing."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append(((user_id, changes), answer))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer())
        return await answer

    async def _answer(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                told = await database_sync_to_async(judge)([question for question, _ in asked])
            except Exception as error:  # noqa: BLE001 - each page that waits gets to know it
                told = [error] * len(asked)
            for (_, answer), found in zip(asked, told, strict=True):
                _settle(answer, found)


def _settle(answer: "asyncio.Future[Answer]", found: Answer | Exception) -> None:
    if answer.done():
        return  # the page was closed meanwhile
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


#: Of each event loop: a server has one.
_sieves: WeakKeyDictionary[asyncio.AbstractEventLoop, Sieve] = WeakKeyDictionary()


def _sieve() -> Sieve:
    return _sieves.setdefault(asyncio.get_running_loop(), Sieve())


def judge(asked: list[Question]) -> list[Answer]:
    """Return an answer to each question; people with the same scopes share their queries."""
    scopes = scopes_of_many({user_id for user_id, _ in asked}, Role.VIEWER)
    ids: dict[tuple[Scopes, str], set[Any]] = {}
    for user_id, changes in asked:
        mine = scopes.get(user_id)
        if mine and not mine.everything:
            for change in changes:
                ids.setdefault((mine, str(change["type"])), set()).add(change["id"])
    seen = {(mine, kind): _visible_ids(kind, pks, mine) for (mine, kind), pks in ids.items()}
    return [_answer(changes, scopes.get(user_id), seen) for user_id, changes in asked]


def _answer(
    changes: list[Change], scopes: Scopes | None, seen: dict[tuple[Scopes, str], set[Any]]
) -> Answer:
    if not scopes:
        return None
    if scopes.everything:
        return changes
    # Number 0 names no object: "look at the list again".
    return [
        change
        for change in changes
        if change["id"] == 0 or change["id"] in seen[scopes, str(change["type"])]
    ]


def _visible_ids(kind: str, ids: set[Any], scopes: Scopes) -> set[Any]:
    if kind == "operation":
        return {pk for prefix in TABLES for pk in _ids(visible(prefix, scopes), ids)}
    if kind == "cluster":
        return ids  # whether HA is armed is shown to everybody
    if kind not in SIEVES:
        return set()
    model, rows = SIEVES[kind]
    allowed: Q = rows(scopes)
    return _ids(model._default_manager.filter(allowed), ids)


def _ids(rows: Any, ids: set[Any]) -> set[Any]:
    return set(rows.filter(pk__in=ids).values_list("pk", flat=True))
