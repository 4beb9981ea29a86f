"""A fire drill: the fence of a host in maintenance, for real, and its way back, as pure rules.

identify → off → read back off → on → answers again with a new boot marker → the BMC
says on.  Its readings prove nothing for any run: there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from fencing.domain.facts import ClusterFacts, ControllerFacts, HostFacts, Identity
from fencing.domain.policy import Policy
from hosts.domain.states import HostStatus, Wanted


class DrillStep(StrEnum):
    """Where a drill stands; the first three are those of a fence."""

    IDENTIFY = "identify"
    OFF = "off"
    READ = "read"
    ON = "on"
    BOOT = "boot"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a drill must not begin or go on, and what to do about it."""

    text: str
    cure: str
    silence: bool = False  # what the drill itself brings about


_ONCE_MORE = "Wait until it has ended, then ask again."


def obstacle(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> Obstacle | None:
    """Return what forbids cutting the power of ``host``, if anything does."""
    name = host.name
    if host.is_self:
        return Obstacle(f"this portal runs on {name}", "Run the drill from another engine.")
    if host.status is not HostStatus.MAINTENANCE or host.wanted is not Wanted.MAINTENANCE:
        text = f"{name} is not in maintenance: its status is {host.status}"
        return Obstacle(text, "Put it into maintenance, and wait until it is empty.")
    here = [vm.name for vm in cluster.vms if vm.run and host.pk in vm.run.holders]
    if here:
        text = f"runs are open on {name}: {', '.join(here[:5])}"
        return Obstacle(text, "Empty the host first.")
    if cluster.starts_on.get(host.pk, 0):
        return Obstacle(f"a start is under way on {name}", _ONCE_MORE)
    if host.fence_open or host.power_on_open or host.departing:
        return Obstacle(f"the power of {name} is being switched already", _ONCE_MORE)
    return _silence(host, policy, now) or _controllers(host)


def _silence(host: HostFacts, policy: Policy, now: datetime) -> Obstacle | None:
    patience = timedelta(seconds=max(10, 2 * policy.poll + policy.connect_deadline))
    if host.last_seen is None or now - host.last_seen > patience:
        text = f"{host.name} does not answer: nobody could tell whether it comes back"
        return Obstacle(text, "Repair its connection first.", silence=True)
    return None


def first_level(host: HostFacts) -> list[ControllerFacts]:
    """Return the controllers that a fence asks first: those that a drill tries."""
    level = min((item.level for item in host.controllers), default=0)
    return [item for item in host.controllers if item.level == level]


def _controllers(host: HostFacts) -> Obstacle | None:
    mine = first_level(host)
    if not mine:
        text = f"{host.name} has no power controller"
        return Obstacle(text, "Add its BMC under power controllers.")
    for item in mine:
        if item.problem is not None:
            text = f"the BMC of {host.name} gives no answer ({item.problem})"
            return Obstacle(text, "Repair its address, account or cable, and test it.")
        if not item.trusted:
            text = f"the BMC of {host.name} is distrusted"
            return Obstacle(text, "Correct its address, and test it while the host answers.")
        if item.identity is not Identity.PROVEN:
            text = f"the BMC of {host.name} has not proven whose it is"
            return Obstacle(text, "Test it; if it tells no GUID, it can fence nobody.")
    return None


class Back(StrEnum):
    """What a host that was switched on again has shown."""

    NOT_YET = "not_yet"
    YES = "yes"
    NEVER_OFF = "never_off"  # it answers as if nothing had happened


def came_back(
    *, last_seen: datetime | None, marker: str, marker_before: str, switched_on_at: datetime
) -> Back:
    """Return whether a look sent after the power-on was answered by a new boot."""
    if last_seen is None or last_seen <= switched_on_at or not marker:
        return Back.NOT_YET
    return Back.NEVER_OFF if marker == marker_before else Back.YES


#: Step that ended -> what it was, for the report.
_SAID = {
    DrillStep.IDENTIFY: "identified",
    DrillStep.OFF: "off accepted",
    DrillStep.READ: "read back off",
    DrillStep.ON: "on accepted",
    DrillStep.BOOT: "answered again",
    DrillStep.LAST: "says on again",
}


def report(
    marks: list[tuple[str, datetime]], begun: datetime, ended: datetime, *, passed: bool
) -> Mapping[str, Any]:
    """Return the result as it is kept: the seconds of each step, and of the whole."""
    steps, before = [], begun
    for step, at in marks:
        seconds = round((at - before).total_seconds(), 1)
        steps.append({"name": _SAID[DrillStep(step)], "seconds": seconds})
        before = at
    whole = round((ended - begun).total_seconds(), 1)
    return {"passed": passed, "seconds": whole, "steps": steps}
