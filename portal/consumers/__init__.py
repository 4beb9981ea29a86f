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

from portal.consumers.sieve import Change, may_see_anything, sieve_here
from portal.lib.live import CHANGED, GROUP

#: Changes within this many seconds travel together.
GATHER_S = 0.25
#: More changes than this at once: the page had better fetch everything.
MANY = 500
LONGEST_FRAME = 1024

# RFC 6455 codes, and two of our own for people who must sign in again.
BAD_TEXT, BAD_KIND, TOO_BIG, SIGNED_OUT = 1007, 1003, 1009, 4401


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
        session = self.scope.get("session")
        self.session_key = getattr(session, "session_key", None) or ""
        if not await database_sync_to_async(may_see_anything)(self.session_key):
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
        elif not await database_sync_to_async(may_see_anything)(self.session_key):
            await self.close(SIGNED_OUT)
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
        allowed = await sieve_here().allowed(self.session_key, changes)
        if allowed is None:
            await self.close(SIGNED_OUT)
        elif allowed:
            await self.send(text_data=json.dumps({"type": "changes", "changes": allowed}))


def _is_ping(text: str) -> bool:
    try:
        return bool(json.loads(text) == {"type": "ping"})
    except (ValueError, RecursionError):
        return False
