"""A WebSocket client for tests; channels.testing would need daphne to be installed."""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator

_Communicator: Any = ApplicationCommunicator  # asgiref's is not typed


class Line:
    """One open page, speaking ASGI with an application."""

    def __init__(
        self,
        application: Any,
        path: str,
        headers: list[tuple[bytes, bytes]] | None = None,
        session: Any = None,
    ) -> None:
        scope: dict[str, Any] = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": headers or [],
            "subprotocols": [],
        }
        whole = scope | ({"session": session} if session is not None else {})
        self._line = _Communicator(application, whole)

    async def connect(self) -> bool:
        """Say whether the door is opened."""
        await self._line.send_input({"type": "websocket.connect"})
        answer = await self._line.receive_output(timeout=5)
        return bool(answer["type"] == "websocket.accept")

    async def say(self, *, text: str | None = None, raw: bytes | None = None) -> None:
        """Send one frame."""
        await self._line.send_input({"type": "websocket.receive", "text": text, "bytes": raw})

    async def hear(self) -> Any:
        """Return the next message."""
        answer = await self._line.receive_output(timeout=5)
        assert answer["type"] == "websocket.send", answer
        return json.loads(answer["text"])

    async def hear_close(self) -> int:
        """Return the code with which the line is closed."""
        answer = await self._line.receive_output(timeout=5)
        assert answer["type"] == "websocket.close", answer
        return int(answer["code"])

    async def leave(self) -> None:
        """Close the page."""
        await self._line.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._line.wait(timeout=5)

    async def silent(self, seconds: float) -> bool:
        """Say whether nothing comes for a while."""
        return bool(await self._line.receive_nothing(timeout=seconds))
