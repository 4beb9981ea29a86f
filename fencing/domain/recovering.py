"""Soft recovery in the plan: libvirtd is restarted over SSH before a host loses its power.

It is asked for once in each silence, where the table finds libvirtd broken (row 4) or would
fence (rows 5 and 6).  No proof waits for it, and a fence only for its first try.
"""

from collections.abc import Iterator
from datetime import datetime

from fencing.domain.alerts import AlertKind
from fencing.domain.decision import Decision, Verdict
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.intentions import Intention, MoveHa, Raise, Recover, over
from fencing.domain.policy import Policy
from fencing.domain.recovery import CURE, FATAL, Recovery, RecoveryOutcome, is_in_hand
from portal.lib.ha.states import HaEvent, HaState

#: HA states in which nobody repairs a host: a person has it in hand, or its power goes.
_NOT_MINE = (HaState.DISABLED, HaState.INELIGIBLE, HaState.FENCING, HaState.FENCED)
_FENCING_ROWS = (5, 6)


def recovering(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, decision: Decision, now: datetime
) -> Iterator[Intention]:
    """What soft recovery does about a silent host, and what a person is told of it."""
    if _is_due(cluster, host, policy, decision):
        yield Recover(host.pk, decision.row, decision.why)
    in_hand = is_in_hand(host.recovery, now)
    fenced = decision.verdict is Verdict.FENCE or host.ha is HaState.FENCING
    text = "" if in_hand else _text(host.recovery, fenced=fenced)
    if text:
        yield Raise(AlertKind.RECOVERY_FAILED, host.pk, 0, text)
    else:
        yield from over(cluster.alerts, host.pk, 0, AlertKind.RECOVERY_FAILED)
    if host.ha is HaState.RECOVERING and not in_hand and decision.verdict is not Verdict.FENCE:
        yield MoveHa(host.pk, HaEvent.RECOVERY_FAILED, 0, "it is still silent")


def _is_due(cluster: ClusterFacts, host: HostFacts, policy: Policy, decision: Decision) -> bool:
    """Whether a restart is to be asked for: automation may act, and nobody has tried yet."""
    row_4 = decision.verdict is Verdict.LEAVE_ALONE and decision.row == 4
    row_5_or_6 = decision.verdict is Verdict.FENCE and decision.row in _FENCING_ROWS
    return (
        policy.soft_recovery == "on"
        and (row_4 or row_5_or_6)
        and host.recovery is None
        and host.ha not in _NOT_MINE
        and cluster.armed
        and not cluster.distrust
        and cluster.witness_seen
        and not (host.departing or host.drill_open or host.fence_open)
    )


def holds_the_fence(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, decision: Decision, now: datetime
) -> bool:
    """Whether the fence of rows 5 and 6 waits, for one try at most."""
    if policy.soft_recovery != "on" or decision.row not in _FENCING_ROWS:
        return False
    if host.ha in _NOT_MINE:
        return False
    return _is_due(cluster, host, policy, decision) or is_in_hand(host.recovery, now)


def _text(recovery: Recovery | None, *, fenced: bool) -> str:
    """Return what came of the last try and what to do, while the host is silent all the same.

    That a host which is fenced could not be reached over SSH either is no news.
    """
    outcome = recovery.outcome if recovery is not None else None
    if outcome is None or (fenced and outcome not in FATAL):
        return ""
    if outcome is RecoveryOutcome.RESTARTED:
        return f"its libvirtd was restarted over SSH, and it is still silent. {CURE[outcome]}"
    words = outcome.replace("_", " ")
    return f"its libvirtd could not be restarted over SSH ({words}). {CURE[outcome]}"
