"""Redfish: one conversation per question; a session of its own, ended also when that fails.

PowerState *Off* is off; what cannot be told is UNKNOWN, never off.  A fence is ForceOff:
GracefulShutdown asks a guest that may be dead.  The System's UUID is the identity.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from fencing.domain.drivers import BadOption, checked_options
from fencing.domain.power import PowerProblem, PowerState
from fencing.power.port import Bmc, PowerError, Reading, error_of, too_late
from fencing.power.redfish_line import Line, link, path_of

_GOODBYE = 1.0  # seconds kept for ending the session; at most a quarter of the deadline
_MOST_NAMED = 10

_STATES = {
    "On": PowerState.ON,
    "Off": PowerState.OFF,
    "PoweringOn": PowerState.ON,
    "PoweringOff": PowerState.TURNING_OFF,
    "Paused": PowerState.ON,  # it has power, and can go on
}
#: What may be sent for a wish, best first.
_RESETS = {PowerState.OFF: ("ForceOff",), PowerState.ON: ("On", "ForceOn")}
#: What asks the operating system to shut down; a button would switch on what is off.
_SOFT = ("GracefulShutdown",)
#: What shows that a refused command was not needed.
_REACHED = {
    PowerState.OFF: frozenset({PowerState.OFF, PowerState.TURNING_OFF}),
    PowerState.ON: frozenset({PowerState.ON}),
}
T = TypeVar("T")


class Redfish:
    """The ``redfish`` driver; options ``system`` and ``verify``."""

    def read(self, bmc: Bmc, *, deadline: float) -> Reading:
        """Return the system's power state and UUID."""
        return _ask(bmc, deadline, _read)

    def turn_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Cut the power (ForceOff); does not wait for it."""
        _ask(bmc, deadline, lambda line, root: _switch(line, root, PowerState.OFF))

    def ask_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Ask the operating system to shut down (GracefulShutdown)."""
        _ask(bmc, deadline, lambda line, root: _switch(line, root, PowerState.OFF, _SOFT))

    def turn_on(self, bmc: Bmc, *, deadline: float) -> None:
        """Switch the power on; does not wait for it."""
        _ask(bmc, deadline, lambda line, root: _switch(line, root, PowerState.ON))


def _ask(bmc: Bmc, deadline: float, talk: Callable[[Line, dict[str, Any]], Awaitable[T]]) -> T:
    """Hold one conversation; a loop in a thread of its own can be stopped at any point of it."""
    try:
        checked_options("redfish", bmc.options)
    except BadOption as error:
        text = f"has a wrong option {error.name}: {error}"
        name = f"options.{error.name}"
        raise error_of(bmc, PowerProblem.BAD_SETTINGS, text, field=name) from error
    with ThreadPoolExecutor(1, thread_name_prefix="redfish") as pool:
        return pool.submit(_in_own_loop, bmc, deadline, talk).result()


def _in_own_loop(
    bmc: Bmc, deadline: float, talk: Callable[[Line, dict[str, Any]], Awaitable[T]]
) -> T:
    # Not asyncio.run: it would wait for a name server that does not answer.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_converse(bmc, deadline, talk))
    except TimeoutError as error:
        raise too_late(bmc, deadline) from error
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _converse(
    bmc: Bmc, deadline: float, talk: Callable[[Line, dict[str, Any]], Awaitable[T]]
) -> T:
    goodbye = min(_GOODBYE, deadline / 4)
    async with Line(bmc) as line:
        try:
            async with asyncio.timeout(deadline - goodbye):
                return await talk(line, await line.log_in())
        finally:
            # The answer is there, or a better error: how the goodbye ends changes neither.
            with suppress(PowerError, TimeoutError):
                async with asyncio.timeout(goodbye):
                    await line.log_out()


async def _read(line: Line, root: dict[str, Any]) -> Reading:
    system = await line.get(await _system_path(line, root))
    return Reading(_state_of(system), _uuid_of(system))


async def _switch(
    line: Line, root: dict[str, Any], wanted: PowerState, kinds: tuple[str, ...] = ()
) -> None:
    kinds = kinds or _RESETS[wanted]
    path = await _system_path(line, root)
    system = await line.get(path)
    target, kind = await _reset_of(line, system, kinds)
    if not target or not kind:
        if _state_of(system) in _REACHED[wanted]:
            return  # some BMCs offer only what would change something
        text = f"offers this user no way to switch {wanted} ({kinds[0]})"
        raise line.error(
            PowerProblem.BAD_SETTINGS, f"{text}; check the user's rights there", field="username"
        )
    answer = await line.post(target, {"ResetType": kind})
    if answer.good or _state_of(await line.get(path)) in _REACHED[wanted]:
        return
    text = f"did not take the power command (HTTP status {answer.status}); switch it there by hand"
    raise line.error(PowerProblem.UNREACHABLE, text)


async def _system_path(line: Line, root: dict[str, Any]) -> str:
    """Return the one system that is meant; several without a choice are a wrong setting."""
    found = await line.get(link(root, "Systems") or "/redfish/v1/Systems")
    members = found.get("Members")
    listed = members if isinstance(members, list) else []
    paths = [path for member in listed if (path := link(member))]
    wanted = line.bmc.options.get("system", "")
    if not paths:
        text = "lists no system (yet); wait until it has started, or reset the BMC"
        raise line.error(PowerProblem.UNREACHABLE, text)
    fitting = [path for path in paths if not wanted or _name_of(path) == wanted]
    more = "Members@odata.nextLink" in found
    if len(fitting) == 1 and (wanted or not more):
        return fitting[0]
    fault = f"has no system “{wanted}”" if wanted else "has several systems"
    text = f"{fault}; name one of these in option system: {_names(line.bmc, paths)}"
    raise line.error(PowerProblem.BAD_SETTINGS, text, field="options.system")


def _name_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _names(bmc: Bmc, paths: list[str]) -> str:
    """List systems; the other side chose these words, and knows the password."""
    names = [name[:64] for name in map(_name_of, paths)]
    safe = [name for name in names if not bmc.password or bmc.password not in name]
    return ", ".join(safe[:_MOST_NAMED]) + (", …" if len(paths) > _MOST_NAMED else "")


async def _reset_of(line: Line, system: dict[str, Any], kinds: tuple[str, ...]) -> tuple[str, str]:
    """Return where to send a reset and which one, as the BMC allows; empty for none."""
    actions = system.get("Actions")
    reset = actions.get("#ComputerSystem.Reset") if isinstance(actions, dict) else None
    if not isinstance(reset, dict):
        return "", ""
    allowed = reset.get("ResetType@Redfish.AllowableValues")
    more = path_of(reset.get("@Redfish.ActionInfo"))
    if not isinstance(allowed, list) and more:
        allowed = _reset_types(await line.get(more))
    for kind in kinds:
        if not isinstance(allowed, list) or kind in allowed:
            return path_of(reset.get("target")), kind
    return "", ""


def _reset_types(info: dict[str, Any]) -> object:
    """Return the values that an ActionInfo allows for ResetType; None when it tells none."""
    parameters = info.get("Parameters")
    for item in parameters if isinstance(parameters, list) else []:
        if isinstance(item, dict) and item.get("Name") == "ResetType":
            return item.get("AllowableValues")
    return None


def _state_of(system: dict[str, Any]) -> PowerState:
    told = system.get("PowerState")
    return _STATES.get(told, PowerState.UNKNOWN) if isinstance(told, str) else PowerState.UNKNOWN


def _uuid_of(system: dict[str, Any]) -> str | None:
    """Return the System's UUID; nought and all ones are what a BMC says that has none."""
    try:
        told = uuid.UUID(str(system.get("UUID")))
    except ValueError:
        return None
    return None if told.int in (0, (1 << 128) - 1) else str(told)
