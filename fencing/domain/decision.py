"""Decide about one silent host: the table of docs/decisions.md, first row that fits.

Rows 3, 5 and 7 need the storage heartbeat, which is UNKNOWN for now: they never
fit, and nothing here may treat their absence as a sign of death.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fencing.domain.evidence import (
    Bmc,
    BmcEvidence,
    bmc_evidence,
    contradiction,
    kernel_lives,
    looked_lately,
)
from fencing.domain.facts import HostFacts
from fencing.domain.policy import Policy
from hosts.domain.states import HostStatus
from portal.lib.ha.states import HaState


class Verdict(StrEnum):
    """What to do about a host."""

    NOTHING = "nothing"
    DISTRUST = "distrust"  # row 1
    PROVEN_DEAD = "proven_dead"  # row 2
    LEAVE_ALONE = "leave_alone"  # rows 3 and 4
    FENCE = "fence"  # rows 5 and 6
    WAIT = "wait"  # evidence or grace still to come
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
        text = "the BMC said off, but libvirt answered afterwards"
        return Decision(Verdict.DISTRUST, 1, text, bmc)
    if not _is_suspicious(host):
        return Decision(Verdict.NOTHING, 0, "the host answers, or its silence is expected", bmc)
    if bmc.answer is Bmc.OFF:
        return Decision(Verdict.PROVEN_DEAD, 2, bmc.why, bmc)
    if host.status is not HostStatus.NON_RESPONSIVE:
        return Decision(Verdict.WAIT, 0, "one look missed; the BMC is asked meanwhile", bmc)
    if kernel_lives(host, policy, now):
        return _row_4(host, policy, now, bmc)
    return _without_sign_of_life(host, policy, now, bmc)


def _without_sign_of_life(
    host: HostFacts, policy: Policy, now: datetime, bmc: BmcEvidence
) -> Decision:
    """Rows 6 and 8: neither proof nor sign of life."""
    if not grace_is_over(host, policy, now):
        return Decision(Verdict.WAIT, 0, f"within the grace of {policy.grace:g} s", bmc)
    if bmc.answer is Bmc.ON and not looked_lately(host, policy, now):
        return Decision(Verdict.WAIT, 0, "it has not been looked at lately", bmc)
    if bmc.answer is Bmc.ON:
        text = f"silent for the grace of {policy.grace:g} s, {bmc.why}, no sign of life"
        return Decision(Verdict.FENCE, 6, text, bmc)
    if bmc.answer is Bmc.OFF_ONCE:
        return Decision(Verdict.WAIT, 0, bmc.why, bmc)
    return Decision(Verdict.ASK, 8, f"no proof of death to be had: {bmc.why}", bmc)


def _is_suspicious(host: HostFacts) -> bool:
    return host.status in (HostStatus.CONNECTING, HostStatus.NON_RESPONSIVE) or (
        host.status is HostStatus.PREPARING and host.slow_since is not None
    )


def _row_4(host: HostFacts, policy: Policy, now: datetime, bmc: BmcEvidence) -> Decision:
    text = "its kernel answers on the network: libvirtd is broken, its VMs run"
    if host.ha is HaState.DEGRADED and host.ha_since is not None:
        overdue = now - host.ha_since >= timedelta(seconds=policy.degraded_max)
        if overdue and policy.degraded_action == "fence" and bmc.answer is Bmc.ON:
            text = f"degraded for {policy.degraded_max:g} s, and degraded_action is fence"
            return Decision(Verdict.FENCE, 4, text, bmc)
    return Decision(Verdict.LEAVE_ALONE, 4, text, bmc)
