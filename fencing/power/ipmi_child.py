"""One question to one BMC in a process of its own: JSON in on stdin, JSON out on stdout.

``fencing.power.ipmi`` runs this file by path with ``-I -S``: no Django, no site
packages but those named in the request.  It knows the protocol and nothing of
what an answer means.  It uses pyghmi's session, not its ``Command``, which
loads every vendor's extensions (45 ms more) and asks two questions more per
login.  Answers:

- ``{"code": 0, "power": 33, "guid": "…32 hex digits…"}``; ``power`` is the first
  byte of Get Chassis Status, ``null`` where the BMC told none, as is ``guid``;
- ``{"failed": "IpmiException", "text": "Incorrect password provided", "errno": null}``.
"""

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG = 1
_CHASSIS, _APP = 0, 6
_STATUS, _CONTROL, _SYSTEM_GUID = 1, 2, 0x37
_CONTROLS = {"off": 0, "on": 1, "soft": 5}


def main() -> None:
    """Answer the request on stdin; always ends the process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    answers = os.dup(1)
    os.dup2(2, 1)  # pyghmi prints; stdout belongs to the answer
    request = json.loads(sys.stdin.buffer.read())
    if os.getppid() != request["parent"]:  # it died before the line above took effect
        os._exit(1)
    sys.path.extend(request["path"])
    session = None
    try:
        session = _log_in(request)
        answer = _answer(session, request)
    except Exception as error:  # noqa: BLE001 - whatever pyghmi throws is an answer to report
        answer = _failure(error)
    os.write(answers, json.dumps(answer).encode())
    if session is not None and not answer.get("torn"):
        _log_out(session)
    os._exit(0)  # pyghmi's I/O thread and atexit handlers would only delay it


def _log_in(request: dict[str, Any]) -> Any:
    from pyghmi.ipmi.private.session import Session  # noqa: PLC0415 - sys.path is set only now

    class Session2(Session):  # type: ignore[misc]  # pyghmi has no types
        """A session of IPMI 2.0 only: 1.5 proves nothing, and pyghmi's is broken in Python 3."""

        def _get_session_challenge(self) -> None:
            self.onlogon({"error": "IPMI 1.5 only"})

    # Bytes, not str: pyghmi 1.6.19 loses track of a session made with str.
    user, password = request["username"].encode(), request["password"].encode()
    return Session2(request["address"], user, password, port=request["port"])


def _log_out(session: Any) -> None:
    """Free the BMC's session slot; it has few, and a lost one expires in a minute."""
    with suppress(Exception):  # the answer is out, nobody is left to tell
        session.logout()


def _answer(session: Any, request: dict[str, Any]) -> dict[str, Any]:
    asked = request["ask"]
    if asked == "read":
        return _status(session) | _guid(session, request["guid_wait"])
    reply = session.raw_command(netfn=_CHASSIS, command=_CONTROL, data=(_CONTROLS[asked],))
    _raise_if_silent(reply)
    if reply["code"] == 0:
        return {"code": 0}
    # Some BMCs refuse to switch off what is off: the caller needs the state to judge.
    return {"code": reply["code"], "power": _status(session)["power"]}


def _status(session: Any) -> dict[str, Any]:
    reply = session.raw_command(netfn=_CHASSIS, command=_STATUS)
    _raise_if_silent(reply)
    told = reply["code"] == 0 and len(reply["data"]) > 0
    return {"code": reply["code"], "power": reply["data"][0] if told else None}


def _guid(session: Any, wait: float) -> dict[str, Any]:
    """Get System GUID; no answer within ``wait`` seconds is no GUID, not a failed read."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    try:
        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, wait)
        reply = session.raw_command(netfn=_APP, command=_SYSTEM_GUID)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Exception:  # noqa: BLE001 - many BMCs have no GUID and tell so in many ways
        signal.setitimer(signal.ITIMER_REAL, 0)
        return {"guid": None, "torn": True}  # too late to log out: the session is in mid-air
    told = not reply.get("error") and reply["code"] == 0
    return {"guid": bytes(reply["data"]).hex() if told else None}


def _raise_if_silent(reply: dict[str, Any]) -> None:
    # A refusal carries an error text as well, but with the BMC's own code (one byte).
    if reply["code"] > 0xFF:
        raise TimeoutError


def _failure(error: Exception) -> dict[str, Any]:
    """Describe ``error``; only pyghmi's own texts are known to hold no secret."""
    kind = type(error).__name__
    text = str(error) if kind == "IpmiException" else ""
    return {"failed": kind, "text": text, "errno": getattr(error, "errno", None)}


if __name__ == "__main__":
    main()
