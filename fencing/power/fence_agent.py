"""Fence agents (ClusterLabs): one of a fixed list, asked in one short-lived process.

Settings go in on stdin, or, where the agent would show a password to every user of
this machine, in the environment; never in argv.  An agent tells no GUID: what it
switches is never proven to be the host's own.
"""

import re
from pathlib import Path

from fencing.domain.drivers import (
    AGENTS,
    IPMI_AGENTS,
    BadOption,
    checked_options,
)
from fencing.domain.power import PowerProblem, PowerState
from fencing.power.child import Said, ask_child
from fencing.power.port import Bmc, PowerError, Reading, error_of, not_asked, too_late

#: Where agents may be; nothing of ``PATH`` counts.
_FOLDERS = (Path("/usr/sbin"), Path("/sbin"))
_IPMITOOL = Path(__file__).with_name("ipmitool_quiet")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}
#: Ends an agent whose portal has died; while it lives, the deadline comes first.
_TIMEOUT = "/usr/bin/timeout"
#: An agent takes these as set, whatever their value.
_SET_BY_BEING_THERE = frozenset({"ssh", "ssl_insecure"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_ADDRESS = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:-]*")
_STATUS = re.compile(rb"^Status: (ON|OFF)\s*$", re.MULTILINE)
#: Exit code and word must agree: 2 is also what a broken program ends with.
_STATES = {(0, b"ON"): PowerState.ON, (2, b"OFF"): PowerState.OFF}

_BAD_LOGIN = "refused the user name or password; correct them in its settings here"
_BAD_RIGHTS = "gives this user too few rights; make it Operator or Administrator there"
_SILENT = "does not answer; check its address and its cable"
_NO_LOGIN = "does not answer, or refuses the user name or password; check all three"
_NO_PLUG = "tells no power state; check option plug, and its network"
_NO_CIPHER = "does not answer, or wants another cipher suite; set option cipher to 17 or 3"
_NO_NAME = "has a name that does not exist; correct its address"
_NO_TOOL = "cannot be asked: install ipmitool on this server (in a path without spaces)"

#: Part of what the agent wrote, in lower case -> what it means; the first that fits counts.
_TEXTS: tuple[tuple[str, PowerProblem, str], ...] = (
    ("hmac is invalid", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("unauthorized name", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("401 unauthorized", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("authentication failure", PowerProblem.REFUSED_AUTH, _BAD_LOGIN),
    ("privilege level", PowerProblem.REFUSED_AUTH, _BAD_RIGHTS),
    ("correct privileges", PowerProblem.REFUSED_AUTH, _BAD_RIGHTS),
    ("unauthorized role", PowerProblem.REFUSED_AUTH, _BAD_RIGHTS),
    ("address lookup for", PowerProblem.BAD_SETTINGS, _NO_NAME),
    ("ipmitool not found", PowerProblem.BAD_SETTINGS, _NO_TOOL),
    ("cipher suite", PowerProblem.UNREACHABLE, _NO_CIPHER),
    ("unable to connect/login", PowerProblem.UNREACHABLE, _NO_LOGIN),
    ("timed out", PowerProblem.UNREACHABLE, _SILENT),
    ("connection lost", PowerProblem.UNREACHABLE, _SILENT),
    ("unable to establish", PowerProblem.UNREACHABLE, _SILENT),
    ("correct plug status", PowerProblem.UNREACHABLE, _NO_PLUG),
)
#: The agent sent its command and has not seen the effect (yet): only a reading can tell.
_UNSEEN = "timed out waiting to power"


class FenceAgent:
    """The ``fence-agent`` driver; option ``agent`` names the agent, the others are its own."""

    def __init__(self, folders: tuple[Path, ...] = _FOLDERS) -> None:
        self._folders = folders

    def read(self, bmc: Bmc, *, deadline: float) -> Reading:
        """Return the power state; there is no GUID."""
        said = self._ask(bmc, "status", deadline)
        told = _STATUS.search(said.out)
        if told is not None:
            return Reading(_STATES.get((said.code, told[1]), PowerState.UNKNOWN))
        if said.code == 0:
            return Reading(PowerState.UNKNOWN)
        raise _failed(bmc, said)

    def turn_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Cut the power; the agent waits a little for it, and need not see it."""
        self._switch(bmc, "off", deadline)

    def ask_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Agents only cut the power: always :class:`PowerError`."""
        text = "cannot ask the machine to shut down; a fence agent only cuts its power"
        raise error_of(bmc, PowerProblem.BAD_SETTINGS, text)

    def turn_on(self, bmc: Bmc, *, deadline: float) -> None:
        """Switch the power on, as :meth:`turn_off` does off."""
        self._switch(bmc, "on", deadline)

    def _switch(self, bmc: Bmc, action: str, deadline: float) -> None:
        said = self._ask(bmc, action, deadline)
        if said.code == 0:
            return
        error = _failed(bmc, said)
        if error.problem is PowerProblem.REFUSED_AUTH or _UNSEEN not in _text(said):
            raise error

    def _ask(self, bmc: Bmc, action: str, deadline: float) -> Said:
        options = _checked(bmc)
        agent = options.pop("agent")
        program = self._find(bmc, agent)
        settings = {
            "action": action,
            "ip": bmc.address,
            "ipport": str(bmc.port),
            "username": bmc.username,
            # How long it waits for the effect, and for each answer.
            "power_timeout": str(max(1, int(deadline / 2))),
            **AGENTS[agent].defaults,
            **options,
        }
        environment = dict(_ENVIRONMENT)
        if agent in IPMI_AGENTS:
            environment["IPMITOOL_PASSWORD"] = bmc.password
            # ipmitool tells a wrong password from a dead BMC only when it is talkative.
            settings |= {"ipmitool_path": str(_IPMITOOL), "verbose_level": "2"}
        else:
            settings["password"] = bmc.password
        command = [_TIMEOUT, "--signal=KILL", f"{max(deadline, 0) + 1:.1f}", str(program)]
        try:
            said = ask_child(command, _lines(settings), deadline=deadline, environment=environment)
        except OSError as error:
            raise not_asked(bmc, error) from error
        if said.late:
            raise too_late(bmc, deadline)
        return said

    def _find(self, bmc: Bmc, agent: str) -> Path:
        for folder in self._folders:
            if (folder / agent).is_file():
                return folder / agent
        text = f"cannot be asked: install {agent} on this server (package fence-agents)"
        raise error_of(bmc, PowerProblem.BAD_SETTINGS, text, field="options.agent")


def _checked(bmc: Bmc) -> dict[str, str]:
    """Return the options; refuse every setting that could become a second line or word."""
    try:
        options = checked_options("fence-agent", bmc.options)
    except BadOption as error:
        text = f"has a wrong option {error.name}: {error}"
        name = f"options.{error.name}"
        raise error_of(bmc, PowerProblem.BAD_SETTINGS, text, field=name) from error
    if not _ADDRESS.fullmatch(bmc.address):
        raise _wrong(bmc, "address", "no address; write a host name or an IP address")
    if not 0 < bmc.port < 65536:
        raise _wrong(bmc, "port", "a port that cannot be one; write one from 1 to 65535")
    for name, value in (("username", bmc.username), ("password", bmc.password)):
        if _CONTROL.search(value):
            raise _wrong(bmc, name, f"a {name} with a control character; enter one without")
    return options


def _wrong(bmc: Bmc, field: str, sentence: str) -> PowerError:
    return error_of(bmc, PowerProblem.BAD_SETTINGS, f"has {sentence}", field=field)


def _lines(settings: dict[str, str]) -> bytes:
    """Write key=value lines; in quotes, which an agent takes off, spaces at the ends survive."""
    kept = {
        key: value
        for key, value in settings.items()
        if key not in _SET_BY_BEING_THERE or value != "0"
    }
    return "".join(f'{key}="{value}"\n' for key, value in kept.items()).encode()


def _text(said: Said) -> str:
    return said.err.decode(errors="replace").lower()


def _failed(bmc: Bmc, said: Said) -> PowerError:
    """Say what the agent's own words mean; they are never shown, since they may hold a secret."""
    words = _text(said)
    for part, problem, sentence in _TEXTS:
        if part in words:
            return error_of(bmc, problem, sentence)
    text = f"was not understood: its fence agent ended with code {said.code}"
    return error_of(bmc, PowerProblem.UNREACHABLE, f"{text}; try the agent by hand on this server")
