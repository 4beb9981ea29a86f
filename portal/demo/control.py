"""How to ask the box for a fault: used by the fault panel, the bench and tests."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from portal.demo.layout import Box


class ControlError(Exception):
    """The box did not do it.  ``known`` lists the valid words or names, where that helps."""

    def __init__(self, text: str, known: list[str] | None = None) -> None:
        super().__init__(text)
        self.known = known or []


class BoxDown(ControlError):
    """Nobody answers: the box is not running (yet)."""


class Control:
    """A client of the supervisor; opens one short connection per request."""

    def __init__(self, demo_dir: Path) -> None:
        self._folder = demo_dir

    def do(self, word: str, *, deadline: float = 10.0, **fields: Any) -> dict[str, Any]:
        """Do ``word`` and return the answer once it has taken effect.

        ``at_monotonic`` in it is CLOCK_MONOTONIC, which all processes of this
        computer share.  ``with_`` stands for the field ``with``.
        """
        named = {name.rstrip("_"): value for name, value in fields.items()}
        answer = self._ask({"do": word, **named}, deadline)
        if not answer.get("ok"):
            raise ControlError(f"{word}: {answer.get('error')}", answer.get("known"))
        return answer

    def status(self, *, deadline: float = 5.0) -> dict[str, Any]:
        """Return the truth by host name: state, power, hung, isolated, running, bmc …"""
        hosts: dict[str, Any] = self.do("status", deadline=deadline)["hosts"]
        return hosts

    def wait_ready(self, *, deadline: float = 15.0) -> dict[str, Any]:
        """Return the first status that the box gives; BoxDown when there is none in time."""
        give_up = time.monotonic() + deadline
        while True:
            try:
                return self.status()
            except BoxDown:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)

    def wait_state(self, host: str, state: str, *, deadline: float = 15.0) -> dict[str, Any]:
        """Return the host's status once it is ``state`` (on, booting, off, panicked)."""
        give_up = time.monotonic() + deadline
        while True:
            seen: dict[str, Any] = self.status()[host]
            if seen["state"] == state:
                return seen
            if time.monotonic() > give_up:
                raise ControlError(f"{host} is {seen['state']}, not {state}, after {deadline:g} s")
            time.sleep(0.02)

    def _socket(self) -> str:
        """Return where the supervisor listens."""
        return Box.read(self._folder).control_socket

    def _ask(self, request: dict[str, Any], deadline: float) -> dict[str, Any]:
        try:
            path = self._socket()
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(deadline)
                line.connect(path)
                line.sendall(json.dumps(request).encode() + b"\n")
                reply = line.makefile("rb").readline()
            answer: dict[str, Any] = json.loads(reply)
        except TimeoutError:
            raise ControlError(
                f"the box gave no answer to {request['do']} within {deadline:g} s"
            ) from None
        except (OSError, ValueError) as error:
            raise BoxDown("the box is not running: start it first") from error
        return answer
