"""The live channel: tells open pages which objects changed, and nothing else.

A page fetches what changed over HTTP.  What a client sends can only be a ping;
anything else closes the line with a code that says why, and never raises.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db.models import Model, Q

from fencing.models import Alert, Incident
from fencing.permissions import TABLES, by_numbers, events_in, incidents_in, visible
from hosts.models import Host
from hosts.permissions import hosts_in
from portal.accounts.sessions import must_first, person_of
from portal.core.models import Event, Role
from portal.core.permissions import Scopes, scopes_of
from portal.lib.live import GROUP
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
#: Kinds that only administrators of everything hear of, as over the REST API.
FOR_ADMINS = frozenset({"notification-target", "delivery"})
Change = dict[str, str | int]


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
        self.session_key = str(self.scope["session"].session_key or "")
        if not await database_sync_to_async(_scopes)(self.session_key):
            await self.close()
            return
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
        elif not await database_sync_to_async(_scopes)(self.session_key):
            await self.close(SIGNED_OUT)
        else:
            await self.send(text_data='{"type": "pong"}')

    async def _refuse(self, code: int, reason: str) -> None:
        """Close with what was wrong and the cure; a line that broke by itself is closed already."""
        with suppress(RuntimeError):
            await self.close(code=code, reason=reason)

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
        allowed = await database_sync_to_async(_allowed)(self.session_key, changes)
        if allowed is None:
            await self.close(SIGNED_OUT)
        elif allowed:
            await self.send(text_data=json.dumps({"type": "changes", "changes": allowed}))


def _is_ping(text: str) -> bool:
    try:
        return bool(json.loads(text) == {"type": "ping"})
    except (ValueError, RecursionError):
        return False


def _scopes(session_key: str, role: Role = Role.VIEWER) -> Scopes:
    """Return what the session shows now: nothing once it is over, or while a page must be done."""
    user = person_of(session_key)
    return Scopes() if user is None or must_first(user) else scopes_of(user, role)


def _allowed(session_key: str, changes: list[Change]) -> list[Change] | None:
    """Return the changes that a person may know of now; None when they may know nothing."""
    scopes = _scopes(session_key)
    if not scopes:
        return None
    kinds = {str(change["type"]) for change in changes}
    if kinds & FOR_ADMINS and not _scopes(session_key, Role.ADMIN).everything:
        changes = [change for change in changes if change["type"] not in FOR_ADMINS]
    if scopes.everything:
        return changes
    seen = {
        kind: _visible_ids(kind, [change for change in changes if change["type"] == kind], scopes)
        for kind in kinds - FOR_ADMINS
    }
    # Number 0 names no object: "look at the list again".
    return [
        change
        for change in changes
        if change["id"] == 0 or change["id"] in seen[str(change["type"])]
    ]


def _visible_ids(kind: str, changes: list[Change], scopes: Scopes) -> set[Any]:
    ids = [change["id"] for change in changes]
    if kind == "operation":
        return {pk for prefix in TABLES for pk in _ids(visible(prefix, scopes), ids)}
    if kind == "cluster":
        return set(ids)  # whether HA is armed is shown to everybody
    if kind not in SIEVES:
        return set()
    model, rows = SIEVES[kind]
    allowed: Q = rows(scopes)
    return _ids(model._default_manager.filter(allowed), ids)


def _ids(rows: Any, ids: list[Any]) -> set[Any]:
    return set(rows.filter(pk__in=ids).values_list("pk", flat=True))
