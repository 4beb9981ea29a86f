"""A host that a person shuts down or reboots: its guests, its power, its way back, as pure rules.

guests → ask (the machine's own shutdown) → read off → on → boot.  The last two only for
a reboot.  A machine that does not go off by itself is cut off; it is empty by then.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from fencing.domain.drill import Obstacle, first_level
from fencing.domain.facts import ClusterFacts, HostFacts, Identity
from fencing.domain.guards import a_domain_needs_it
from fencing.domain.moving import may_still_leave
from fencing.domain.policy import Policy
from fencing.domain.steps import OFF_PATIENCE, Next
from hosts.domain.states import ANSWERING, HostStatus, Wanted
from vms.domain.restart import VmFacts

#: How long an operating system may take to shut down before its power is cut.
STOPS_WITHIN = timedelta(seconds=180)
#: Pause between two looks at how far it is.
PAUSE_S = 2.0


class Departure(StrEnum):
    """What a person asks for; also the kind of the operation."""

    SHUTDOWN = "shutdown"
    REBOOT = "reboot"


class DepartStep(StrEnum):
    """Where a departure stands."""

    GUESTS = "guests"
    ASK = "ask"
    READ = "read"
    CUT = "cut"
    ON = "on"
    BOOT = "boot"


class Guests(StrEnum):
    """What is to be done about the VMs of a host that shall go off."""

    MOVE = "move"  # the plan moves them to other hosts
    ASK = "ask"  # ask those to shut down that were not asked yet
    STOP = "stop"  # end those that did not
    GIVE_UP = "give_up"
    WAIT = "wait"
    EMPTY = "empty"
    GONE = "gone"  # the host is proven off already


class Off(StrEnum):
    """What a reading of the power means for the departure."""

    PROVEN = "proven"
    WAIT = "wait"
    CUT = "cut"
    FAIL = "fail"


def guests_wait(policy: Policy, what: Departure) -> bool:
    """Whether the VMs wait for their host; else they start elsewhere.

    ``migrate`` means elsewhere too: what cannot be moved while it runs is stopped and started.
    """
    if policy.shutdown_policy == "conditional":
        return what is Departure.REBOOT
    return policy.shutdown_policy == "freeze"


def obstacle(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> Obstacle | None:
    """Return why a host must not be shut down or rebooted now, if anything forbids it."""
    name = host.name
    if host.is_self:
        return Obstacle(f"this portal runs on {name}", "Move the portal away first.")
    if host.status not in ANSWERING and host.status is not HostStatus.MAINTENANCE:
        text = f"{name} does not answer: its status is {host.status}"
        return Obstacle(text, "Repair its connection first, or fence it.")
    if host.departing or host.drill_open or host.fence_open or host.power_on_open:
        text = f"the power of {name} is being switched already"
        return Obstacle(text, "Watch it under operations, and ask again when it has ended.")
    if cluster.distrust:
        return Obstacle(cluster.distrust, "Find out which database is the right one first.")
    needed = a_domain_needs_it(cluster, host, policy, now)
    if needed:
        return Obstacle(needed, "Bring another host of that storage back first.")
    return _way(host)


def _way(host: HostFacts) -> Obstacle | None:
    mine = first_level(host)
    if not mine:
        text = f"{host.name} has no power controller: nobody could tell that it is off"
        return Obstacle(text, "Add its BMC under power controllers.")
    for item in mine:
        if item.problem is not None or not item.trusted or item.identity is not Identity.PROVEN:
            text = f"the BMC of {host.name} gives no answer that proves anything"
            return Obstacle(text, "Test it under power controllers, and repair what that says.")
    return None


def with_guests(
    cluster: ClusterFacts, host: HostFacts, asked_at: datetime, policy: Policy, now: datetime
) -> Guests:
    """Return what the VMs on the host need next; ``asked_at`` is when their time began."""
    if host.status is HostStatus.DOWN:
        return Guests.GONE
    if host.is_self:
        return Guests.GIVE_UP  # the portal has come to run there since it was asked
    running = runs_on(cluster, host.pk)
    busy = cluster.starts_on.get(host.pk, 0) or host.fence_open or host.power_on_open
    if not running and not busy:
        empty = host.status in (HostStatus.MAINTENANCE, HostStatus.NON_RESPONSIVE)
        return Guests.EMPTY if empty else Guests.WAIT
    if host.status not in ANSWERING and host.status is not HostStatus.MAINTENANCE:
        return Guests.WAIT  # it fell silent with VMs on it: that is a failure, and HA's matter
    if may_still_leave(cluster, host):
        return Guests.MOVE
    if now - asked_at < timedelta(seconds=policy.guest_stop_wait):
        return Guests.ASK
    return Guests.STOP if policy.guest_stop_refused == "stop" else Guests.GIVE_UP


def runs_on(cluster: ClusterFacts, host: int) -> list[VmFacts]:
    """Return the VMs that may execute on a host."""
    return [vm for vm in cluster.vms if vm.run is not None and host in vm.run.holders]


def why_not(cluster: ClusterFacts, host: HostFacts) -> str:
    """Return why the power must not be touched after all: asked right before the command."""
    if host.is_self:
        return "this portal runs on it"
    here = ", ".join(vm.name for vm in runs_on(cluster, host.pk)[:5])
    if here:
        return f"runs are open on it: {here}"
    if cluster.starts_on.get(host.pk, 0):
        return "a start is under way on it"
    if host.fence_open:
        return "it is being fenced"
    return cluster.distrust


def after_reading(following: Next, *, cut: bool, since: datetime, now: datetime) -> Off:
    """Return what a reading after the command means; ``cut``: its power was taken away."""
    if following.proven:
        return Off.PROVEN
    if now - since < (OFF_PATIENCE if cut else STOPS_WITHIN):
        return Off.WAIT
    return Off.FAIL if cut else Off.CUT


#: A host in one of these is there, or on its way back by itself.
_COMING = (HostStatus.UP, HostStatus.CONNECTING, HostStatus.REBOOTING)


def kept_for(cluster: ClusterFacts, vm: VmFacts) -> HostFacts | None:
    """Return the host that a VM waits for since that was shut down, or None: it may go anywhere.

    A host that does not come back in time, refuses it, or is in maintenance holds it no longer.
    """
    host = cluster.host(vm.waits_for) if vm.waits_for is not None else None
    if host is None or vm.refused_by == host.pk:
        return None
    away = host.departing or host.wanted is Wanted.DOWN or host.power_on_open
    return host if away or host.status in _COMING else None
