"""Hosts that give no cause for alarm: they answer, or their silence is expected."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import (
    EVIDENCE_MAX_AGE,
    ClusterFacts,
    ControllerFacts,
    HostFacts,
    Identity,
)
from fencing.domain.freeing import freeing, is_being_freed
from fencing.domain.intentions import (
    AskBmc,
    BootOverdue,
    Evacuated,
    Intention,
    MoveHa,
    PowerOn,
    Raise,
    Release,
    over,
)
from fencing.domain.policy import Policy
from fencing.domain.power import PowerProblem, PowerState
from hosts.domain.states import ANSWERING, HostStatus, Wanted
from portal.lib.ha.states import HaEvent, HaState

#: What a host that answers puts an end to.
_QUIET = (
    AlertKind.HOST_NOT_RESPONDING,
    AlertKind.CONFIRM_REBOOT,
    AlertKind.HOST_DEGRADED,
    AlertKind.FENCE_HELD,
    AlertKind.FENCE_FAILED,
    AlertKind.RECOVERY_FAILED,
)


def calm(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> Iterator[Intention]:
    """A host that answers, or whose silence is expected."""
    if host.status is HostStatus.CONNECTING:
        return
    yield from over(cluster.alerts, host.pk, 0, *_QUIET)
    yield from ask_if_stale(host, now, _patience(host))
    overdue = now - host.status_since >= timedelta(seconds=policy.boot_wait)
    if host.status in ANSWERING:
        yield from over(cluster.alerts, host.pk, 0, AlertKind.BOOT_OVERDUE, AlertKind.STAYS_OFF)
        yield from _being_fenced(host) if host.ha is HaState.FENCING else _answers(host)
        if host.status is HostStatus.PREPARING and not _may_run_there(cluster, host):
            yield Evacuated(host.pk, "no VM is left on it")
    elif host.status is HostStatus.MAINTENANCE and host.ha is not HaState.INELIGIBLE:
        yield MoveHa(host.pk, HaEvent.INELIGIBLE, 0, "it is in maintenance")
    elif host.status is HostStatus.DOWN:
        yield from freeing(cluster, host)
        yield from _power_on(cluster, host, policy)
    elif host.status is HostStatus.REBOOTING and overdue:
        yield BootOverdue(host.pk, f"no answer {policy.boot_wait:g} s after it was powered on")


def _may_run_there(cluster: ClusterFacts, host: HostFacts) -> bool:
    return any(vm.run is not None and host.pk in vm.run.holders for vm in cluster.vms)


#: Every BMC is asked this often even when all is well: does it answer, whose is
#: it, and does it say what is true?
_ROUTINE = timedelta(hours=1)
#: The BMC of a host that is off, or one that gave no answer, is asked this often:
#: it tells when the host can be switched on, or that somebody has repaired it.
_WHILE_WRONG = timedelta(seconds=30)


def _patience(host: HostFacts) -> timedelta:
    if host.slow_since is not None and host.status in ANSWERING:
        return EVIDENCE_MAX_AGE / 2
    not_on = any(item.trusted and item.state is not PowerState.ON for item in host.controllers)
    if not_on and host.status in ANSWERING:
        # It was switched on since.  Not before it answers: a slow relay would look like a lie.
        return EVIDENCE_MAX_AGE
    wrong = any(item.problem is not None for item in host.controllers)
    return _WHILE_WRONG if wrong or host.status is HostStatus.DOWN else _ROUTINE


def _being_fenced(host: HostFacts) -> Iterator[Intention]:
    if not host.fence_open:
        yield MoveHa(host.pk, HaEvent.RELEASED, 0, "it answers, and no fence is under way")
    elif not host.fence_acting:
        yield Release(host.pk, "it answers again, and no power command is under way")


#: HA states that a good look ends, and what the transition's history then says.
_HEALED = {
    HaState.SUSPECT: "it answers again",
    HaState.CHECKING: "it answers again",
    HaState.DEGRADED: "it answers again",
    HaState.RECOVERING: "it answers again",
    HaState.FENCED: "it is back after its fence",
}


def _answers(host: HostFacts) -> Iterator[Intention]:
    healed = _HEALED.get(host.ha)
    if healed:
        yield MoveHa(host.pk, HaEvent.HEALTHY, 0, healed)
    elif host.ha is HaState.INELIGIBLE and host.wanted is Wanted.ACTIVE and not host.ineligible:
        yield MoveHa(host.pk, HaEvent.ELIGIBLE, 0, "it can be protected")
    elif host.ha is HaState.AVAILABLE and host.ineligible:
        yield MoveHa(host.pk, HaEvent.INELIGIBLE, 0, host.ineligible)
    if host.ha is HaState.RECOVERED and not host.first_contact:
        yield MoveHa(host.pk, HaEvent.SETTLED, 0, "its list was compared, nothing stale is left")


def _power_on(cluster: ClusterFacts, host: HostFacts, policy: Policy) -> Iterator[Intention]:
    """Switch a fenced host on again, so many times an hour, if its wish and policy say so."""
    wanted = (
        cluster.armed
        and host.ha is HaState.FENCED
        and host.wanted is Wanted.ACTIVE
        and policy.after_fence == "power_on"
        and not host.power_on_open
        and not (host.fence_open or host.departing or is_being_freed(cluster, host))
        and any(item.trusted and item.problem is None for item in host.controllers)
    )
    if wanted and host.power_ons_last_hour < policy.max_power_ons_per_hour:
        yield PowerOn(host.pk, "proven off, and after_fence is power_on")
    elif wanted:
        times = host.power_ons_last_hour
        text = f"switched on {times} times within the hour, which is all that policy allows"
        yield Raise(AlertKind.STAYS_OFF, host.pk, 0, text)


def controllers(cluster: ClusterFacts, host: HostFacts) -> Iterator[Intention]:
    """Say what is wrong with a controller in the words of its cure."""
    wrong: dict[AlertKind, str] = {}
    for item in host.controllers:
        if item.problem is PowerProblem.REFUSED_AUTH:
            wrong[AlertKind.BMC_AUTH] = f"the BMC refuses the account{_asked_again(item)}"
        elif item.problem is not None:
            wrong[AlertKind.BMC_UNREACHABLE] = f"the BMC gives no answer ({item.problem})"
        elif item.identity is Identity.FOREIGN:
            wrong[AlertKind.BMC_FOREIGN] = "the BMC answers with another machine's identity"
    for kind in (AlertKind.BMC_AUTH, AlertKind.BMC_UNREACHABLE, AlertKind.BMC_FOREIGN):
        if kind in wrong:
            yield Raise(kind, host.pk, 0, wrong[kind])
        else:
            yield from over(cluster.alerts, host.pk, 0, kind)
    if all(item.trusted for item in host.controllers):
        yield from over(cluster.alerts, host.pk, 0, AlertKind.CONTRADICTION)


#: Many BMCs lock an account after a few wrong passwords.
_AFTER_REFUSAL = timedelta(seconds=300)


def _asked_again(item: ControllerFacts) -> str:
    return (
        f"; asked again at {item.asked_at + _AFTER_REFUSAL:%H:%M:%S} UTC" if item.asked_at else ""
    )


def ask_if_stale(
    host: HostFacts, now: datetime, patience: timedelta = EVIDENCE_MAX_AGE / 2
) -> Iterator[Intention]:
    """Ask the BMC of a host again when its youngest answer is older than ``patience``."""
    if host.check_open or host.fence_open or host.drill_open or not host.controllers:
        return
    if all(item.problem is PowerProblem.REFUSED_AUTH for item in host.controllers):
        patience = max(patience, _AFTER_REFUSAL)
    asked = [item.asked_at for item in host.controllers if item.asked_at is not None]
    if not asked or now - max(asked) >= patience:
        silent = host.status is HostStatus.NON_RESPONSIVE or host.slow_since is not None
        yield AskBmc(host.pk, "the host is silent" if silent else "a routine check")
