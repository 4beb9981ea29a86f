"""IPMI over LAN: one short-lived process per question, killed at its deadline.

pyghmi has global state, threads and calls that never return; in a process that
lives for one question none of that matters (``ipmi_child.py``).  This module
starts that process, and turns what it says into states and sentences.
"""

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any, Literal

from fencing.domain.power import PowerProblem, PowerState
from fencing.power.child import ask_child
from fencing.power.port import Bmc, Reading, error_of, name_problem, not_asked, too_late

_CHILD = Path(__file__).with_name("ipmi_child.py")
_GUID_WAIT = 4.0  # seconds; at most half of the deadline
_POWER_ON = 0x01  # bit of the first byte of Get Chassis Status
_PRIVILEGE_TOO_LOW = 0xD4

Ask = Literal["read", "off", "soft", "on"]
GuidOrder = Literal["auto", "smbios", "ipmi", "rfc4122"]

_BAD_LOGIN = "refused the user name or password; correct them in its settings here"
_BAD_RIGHTS = "gives this user too few rights; make it Operator or Administrator over LAN there"
_NO_CIPHER = "offers no cipher suite known here; enable suite 17 or 3 there"
_OLD = "speaks only IPMI 1.5; enable IPMI 2.0 (RMCP+, lanplus) there"
_FULL = "has no free session; wait a minute, or close sessions or reset the BMC there"
_SILENT = "does not answer; check its address, its cable and that IPMI over LAN is enabled"

#: Part of a pyghmi text in lower case -> what it means; the first that fits counts.
_TEXTS: tuple[tuple[str, PowerProblem, str], ...] = (
    ("incorrect password", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("unauthorized name", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("invalid user name", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("null user disabled", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("invalid username length", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("invalid integrity check", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("wrong kg", PowerProblem.REFUSED_AUTH, "wants a BMC key (Kg); clear that key there"),
    ("resources to create", PowerProblem.UNREACHABLE, _FULL),
    ("login slots", PowerProblem.UNREACHABLE, _FULL),
    ("no slot available", PowerProblem.UNREACHABLE, _FULL),
    ("invalid role", PowerProblem.REFUSED_AUTH, _BAD_RIGHTS),
    ("privilege", PowerProblem.REFUSED_AUTH, _BAD_RIGHTS),
    ("privelege", PowerProblem.REFUSED_AUTH, _BAD_RIGHTS),  # pyghmi's own spelling
    ("cipher suite", PowerProblem.BAD_SETTINGS, _NO_CIPHER),
    ("algorithm", PowerProblem.BAD_SETTINGS, _NO_CIPHER),
    ("no matching integrity", PowerProblem.BAD_SETTINGS, _NO_CIPHER),
    ("1.5 only", PowerProblem.BAD_SETTINGS, _OLD),
    ("md5 required", PowerProblem.BAD_SETTINGS, _OLD),
    ("too long", PowerProblem.BAD_SETTINGS, "needs a shorter user name or password (16 and 20)"),
    ("timeout", PowerProblem.UNREACHABLE, _SILENT),
    ("no longer connected", PowerProblem.UNREACHABLE, _SILENT),
    ("failed to initialize", PowerProblem.UNREACHABLE, _SILENT),
)


class Ipmi:
    """The ``ipmi`` driver; option ``guid_order`` as :func:`guid_of` explains."""

    def __init__(self, child: Path = _CHILD) -> None:
        self._child = child

    def read(self, bmc: Bmc, *, deadline: float) -> Reading:
        """Return power state and system GUID, both asked in one session."""
        order = _guid_order(bmc)
        answer = self._ask(bmc, "read", deadline)
        raw = answer.get("guid")
        guid = guid_of(bytes.fromhex(raw), order) if isinstance(raw, str) else None
        return Reading(_state_of(answer.get("power")), guid, unheard=bool(answer.get("torn")))

    def turn_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Cut the power (Chassis Control: power down); does not wait for it."""
        self._switch(bmc, PowerState.OFF, deadline)

    def ask_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Ask the operating system to shut down (Chassis Control: soft shutdown by ACPI)."""
        self._switch(bmc, PowerState.OFF, deadline, "soft")

    def turn_on(self, bmc: Bmc, *, deadline: float) -> None:
        """Switch the power on (Chassis Control: power up); does not wait for it."""
        self._switch(bmc, PowerState.ON, deadline, "on")

    def _switch(self, bmc: Bmc, wanted: PowerState, deadline: float, ask: Ask = "off") -> None:
        answer = self._ask(bmc, ask, deadline)
        code = answer["code"]
        if code == 0 or _state_of(answer.get("power")) is wanted:
            return
        if code == _PRIVILEGE_TOO_LOW:
            raise error_of(bmc, PowerProblem.REFUSED_AUTH, _BAD_RIGHTS)
        said = f"did not take the power command (code 0x{code:02x}); switch it there by hand"
        raise error_of(bmc, PowerProblem.UNREACHABLE, said)

    def _ask(self, bmc: Bmc, ask: Ask, deadline: float) -> dict[str, Any]:
        _check(bmc)
        request = {
            "ask": ask,
            "address": bmc.address,
            "port": bmc.port,
            "username": bmc.username,
            "password": bmc.password,
            "guid_wait": min(_GUID_WAIT, deadline / 2),
            "parent": os.getpid(),
            "path": [entry for entry in sys.path if entry],
        }
        # Nothing of this process's environment is the child's business, but where libraries are.
        keep = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        command = [sys.executable, "-I", "-S", str(self._child)]
        question = json.dumps(request).encode()
        try:
            said = ask_child(command, question, deadline=deadline, environment=keep)
        except OSError as error:
            raise not_asked(bmc, error) from error
        if said.late and not said.out:
            raise too_late(bmc, deadline)
        return _understood(bmc, said.out)


def guid_of(raw: bytes, order: GuidOrder = "auto") -> str | None:
    """Return the UUID that the host knows itself by (SMBIOS, so libvirt), or None.

    BMCs send the 16 bytes in three orders: ``smbios`` (first three fields little
    endian; the most common), ``ipmi`` (wholly reversed: IPMI 2.0, 20.8) and
    ``rfc4122`` (as printed).  ``auto`` takes the first of these that yields a
    valid version and variant, else SMBIOS, much as ``ipmitool mc guid`` does.  A
    third of the random UUIDs sent as ``rfc4122`` look valid as ``smbios`` too:
    compare with :func:`same_machine`, or set the controller's ``guid_order``.
    """
    if len(raw) != 16 or raw in (bytes(16), b"\xff" * 16):
        return None
    orders = {
        "smbios": uuid.UUID(bytes_le=raw),
        "ipmi": uuid.UUID(bytes=raw[::-1]),
        "rfc4122": uuid.UUID(bytes=raw),
    }
    if order != "auto":
        return str(orders[order])
    valid = [guess for guess in orders.values() if guess.version in range(1, 6)]
    return str(valid[0] if valid else orders["smbios"])


def same_machine(guid: str, host_uuid: str) -> bool:
    """Tell whether a BMC's GUID is this host's UUID in any order of its bytes."""
    told, host = uuid.UUID(guid), uuid.UUID(host_uuid)
    raws = (told.bytes, told.bytes_le, told.bytes[::-1])
    return any(host.bytes in (raw, uuid.UUID(bytes=raw).bytes_le, raw[::-1]) for raw in raws)


def problem_of(failed: str, text: str, errno: int | None) -> tuple[PowerProblem, str]:
    """Return what a failure of the child means, and the rest of a sentence on it."""
    if failed == "gaierror":
        return name_problem(errno)
    if failed in ("UnicodeError", "UnicodeEncodeError"):
        return PowerProblem.BAD_SETTINGS, "has an address that cannot be one; correct it"
    if failed == "TimeoutError" or (failed == "IpmiException" and text in ("", "None")):
        return PowerProblem.UNREACHABLE, _SILENT
    if failed != "IpmiException":
        said = f"was not understood: the IPMI helper of this server failed ({failed})"
        return PowerProblem.UNREACHABLE, said
    for part, problem, sentence in _TEXTS:
        if part in text.lower():
            return problem, sentence
    return PowerProblem.UNREACHABLE, f"answered “{text}”; look at it there, or reset the BMC"


def _understood(bmc: Bmc, said: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(said)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and "failed" in answer:
        failed, text = str(answer["failed"]), str(answer.get("text", ""))
        if bmc.password and bmc.password in text:
            text = "?"
        problem, sentence = problem_of(failed, text, answer.get("errno"))
        raise error_of(bmc, problem, sentence)
    if not isinstance(answer, dict) or not isinstance(answer.get("code"), int):
        text = "was not understood: the IPMI helper of this server ended without an answer"
        raise error_of(bmc, PowerProblem.UNREACHABLE, text)
    return answer


def _check(bmc: Bmc) -> None:
    """Refuse settings that cannot work before anything is sent."""
    wrong = None
    if not bmc.address.strip():
        wrong = "has no address; enter it"
    elif not 0 < bmc.port < 65536:
        wrong = "has a port that cannot be one; IPMI uses 623"
    elif len(bmc.username.encode()) > 16 or len(bmc.password.encode()) > 20:
        wrong = "needs a shorter user name or password: IPMI allows 16 and 20 bytes"
    if wrong:
        raise error_of(bmc, PowerProblem.BAD_SETTINGS, wrong)


def _guid_order(bmc: Bmc) -> GuidOrder:
    match bmc.options.get("guid_order", "auto"):
        case "auto" | "smbios" | "ipmi" | "rfc4122" as order:
            return order
    text = "has an unknown guid_order; choose auto, smbios, ipmi or rfc4122"
    raise error_of(bmc, PowerProblem.BAD_SETTINGS, text)


def _state_of(power: object) -> PowerState:
    if not isinstance(power, int):
        return PowerState.UNKNOWN
    return PowerState.ON if power & _POWER_ON else PowerState.OFF
