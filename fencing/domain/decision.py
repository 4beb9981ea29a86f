"""Decide about one silent host: the table of docs/decisions.md, first row that fits.

Evidence that is UNKNOWN fits no row but 6 and 8, and nothing here may treat its
absence as a sign of death.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fencing.domain.evidence import (
    SUSPICIOUS,
    Bmc,
    BmcEvidence,
    bmc_evidence,
    contradiction,
    disk_writes,
    heartbeat_evidence,
    kernel_lives,
    looked_lately,
)
from fencing.domain.facts import HostFacts
from fencing.domain.policy import Policy
from hosts.domain.activity import Writes
from hosts.domain.heartbeat import Beat, is_dead_in
from hosts.domain.states import ANSWERING, HostStatus
from portal.lib.ha.states import HaState


class Verdict(StrEnum):
    """What to do about a host."""

    NOTHING = "nothing"
    DISTRUST = "distrust"  # row 1
    PROVEN_DEAD = "proven_dead"  # row 2
    LEAVE_ALONE = "leave_alone"  # rows 3 and 4
    FENCE = "fence"  # rows 5 and 6
    WAIT = "wait"  # evidence or grace still to come
    TAKE_OVER = "take_over"  # row 7: sanlock is asked for its leases, the rest waits as in row 8
    ASK = "ask"  # row 8: never guess


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, the row that gave it, and the evidence in words."""

    verdict: Verdict
    row: int
    why: str
    bmc: BmcEvidence


def grace_is_over(host: HostFacts, policy: Policy, now: datetime) -> bool:
    """Whether ``grace`` seconds have passed since the last good look was asked for."""
    return host.last_seen is None or now - host.last_seen >= timedelta(seconds=policy.grace)


def decide(host: HostFacts, policy: Policy, now: datetime) -> Decision:
    """Return the verdict on ``host``; the same facts always give the same one."""
    bmc = bmc_evidence(host, policy, now)
    if contradiction(host) is not None:
        who = "libvirt answered" if host.status in ANSWERING else "its storage heartbeat advanced"
        text = f"the BMC said off, but {who} afterwards"
        return Decision(Verdict.DISTRUST, 1, text, bmc)
    if not _is_suspicious(host):
        return Decision(Verdict.NOTHING, 0, "the host answers, or its silence is expected", bmc)
    if bmc.answer is Bmc.OFF and not host.is_self:
        return Decision(Verdict.PROVEN_DEAD, 2, bmc.why, bmc)
    if host.status is HostStatus.KDUMPING:
        return Decision(Verdict.WAIT, 0, "its crash kernel writes a dump: it is not disturbed", bmc)
    if host.status is not HostStatus.NON_RESPONSIVE:
        return Decision(Verdict.WAIT, 0, "one look missed; the BMC is asked meanwhile", bmc)
    alive = _sign_of_life(host, policy, now)
    if alive is not None:
        return _left_alone(host, policy, now, Decision(Verdict.LEAVE_ALONE, *alive, bmc))
    return _without_sign_of_life(host, policy, now, bmc)


def _is_suspicious(host: HostFacts) -> bool:
    return host.status in SUSPICIOUS or (
        host.status is HostStatus.PREPARING and host.slow_since is not None
    )


def _sign_of_life(host: HostFacts, policy: Policy, now: datetime) -> tuple[int, str] | None:
    """Rows 3 and 4: the row and what shows that the host lives, if anything does."""
    if host.is_self:
        return 4, "this portal runs on it, so its VMs run"
    beat = heartbeat_evidence(host, policy, now)
    if beat.beat is Beat.ADVANCES:
        return 3, f"{beat.why}: it is alive and cut off"
    if kernel_lives(host, policy, now):
        return 4, "its kernel answers on the network: libvirtd is broken, its VMs run"
    if disk_writes(host, policy, now) is Writes.WRITTEN:
        return 4, "its VMs' disks are written: libvirtd is broken, its VMs run"
    return None


def _left_alone(host: HostFacts, policy: Policy, now: datetime, alone: Decision) -> Decision:
    """Rows 3 and 4, until the host has been degraded for ``degraded_max``."""
    if host.ha is HaState.DEGRADED and host.ha_since is not None:
        overdue = now - host.ha_since >= timedelta(seconds=policy.degraded_max)
        if overdue and policy.degraded_action == "fence" and alone.bmc.answer is Bmc.ON:
            text = f"degraded for {policy.degraded_max:g} s, and degraded_action is fence"
            return Decision(Verdict.FENCE, alone.row, text, alone.bmc)
    return alone


def _without_sign_of_life(
    host: HostFacts, policy: Policy, now: datetime, bmc: BmcEvidence
) -> Decision:
    """Rows 5 to 8: neither proof nor sign of life."""
    looked = looked_lately(host, policy, now)
    beat = heartbeat_evidence(host, policy, now)
    if bmc.answer is Bmc.ON and beat.enough and looked:
        return Decision(Verdict.FENCE, 5, f"{bmc.why}, {beat.why}: hung or crashed", bmc)
    if not grace_is_over(host, policy, now):
        return Decision(Verdict.WAIT, 0, f"within the grace of {policy.grace:g} s", bmc)
    if bmc.answer is Bmc.OFF_ONCE:
        return Decision(Verdict.WAIT, 0, bmc.why, bmc)
    if bmc.answer is not Bmc.ON and is_dead_by_watchdog(host, now) and looked:
        text = f"{bmc.why}, but {beat.why}, and its watchdog has reset it: leases are taken over"
        return Decision(Verdict.TAKE_OVER, 7, text, bmc)
    if bmc.answer is not Bmc.ON:
        return Decision(Verdict.ASK, 8, f"no proof of death to be had: {bmc.why}", bmc)
    if not looked:
        return Decision(Verdict.WAIT, 0, "it has not been looked at lately", bmc)
    to_come = _still_to_come(host, policy, now)
    if to_come:
        return Decision(Verdict.WAIT, 0, to_come, bmc)
    text = f"silent for the grace of {policy.grace:g} s, {bmc.why}, no sign of life"
    return Decision(Verdict.FENCE, 6, text, bmc)


def is_dead_by_watchdog(host: HostFacts, now: datetime) -> bool:
    """Whether sanlock counts the host as dead in some lockspace, and a watchdog made sure of it."""
    dead = (is_dead_in(track, host.last_seen, now) for track in host.heartbeats)
    return host.watchdog and any(dead)


def _still_to_come(host: HostFacts, policy: Policy, now: datetime) -> str:
    """Return which evidence row 6 must wait for, or the empty text: storage cannot tell."""
    beat = heartbeat_evidence(host, policy, now)
    if beat.beat is Beat.STILL:
        return f"{beat.why}: not yet for long enough"
    if not beat.settled:
        return beat.why
    if disk_writes(host, policy, now) is Writes.COLLECTING:
        return "its VMs' disks are being watched for writes"
    return ""
