"""The course of a fence, as pure steps: what to do after each outcome, and when.

off → settle → read back off ``off_reads`` times → proof.  ``reset`` and
``cycle`` prove nothing and do not exist here.  "Already off" is success.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fencing.domain.policy import Policy
from fencing.domain.power import FATAL, FenceOutcome, PowerProblem, PowerState

#: How long after an accepted command a BMC may go on saying *on*.
OFF_PATIENCE = timedelta(seconds=30)


class FenceStep(StrEnum):
    """Where a fence stands."""

    IDENTIFY = "identify"
    OFF = "off"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Next:
    """What follows: a step after ``pause_s`` seconds, a proof, or a failed attempt."""

    step: FenceStep
    pause_s: float
    text: str
    proven: bool = False
    failed: FenceOutcome | None = None


def after_identify(state: PowerState, *, proven: bool, foreign: bool) -> Next:
    """The BMC said whose it is; only this host's own may be switched."""
    if foreign:
        text = "the BMC is another machine's: its power was not touched"
        return Next(FenceStep.IDENTIFY, 0, text, failed=FenceOutcome.CONTRADICTION)
    if not proven:
        text = (
            "whose BMC it is, is not proven: its power was not touched; give the host a "
            "controller that tells its UUID (ipmi or redfish)"
        )
        return Next(FenceStep.IDENTIFY, 0, text, failed=FenceOutcome.CONTRADICTION)
    if state is PowerState.OFF:
        return Next(FenceStep.READ, 0, "already off, to be read again")
    return Next(FenceStep.OFF, 0, f"the BMC is this host's own and says {state}")


def after_off(policy: Policy) -> Next:
    """The command was accepted, which is not yet done."""
    return Next(FenceStep.READ, policy.off_settle, "off accepted by the BMC")


def after_read(
    state: PowerState,
    reads: int,
    commanded_at: datetime,
    policy: Policy,
    now: datetime,
    *,
    pause_s: float,
) -> Next:
    """A reading after the command; ``reads`` counts the unbroken series of *off*.

    ``pause_s``: seconds until the next reading may be asked for.
    """
    if state is PowerState.OFF and reads >= policy.off_reads:
        return Next(FenceStep.READ, 0, f"read back off {reads} times", proven=True)
    if state is PowerState.OFF:
        return Next(FenceStep.READ, pause_s, f"read back off ({reads})")
    if now - commanded_at < OFF_PATIENCE:
        return Next(FenceStep.READ, pause_s, f"the BMC still says {state}")
    text = f"the BMC accepted off and says {state} after {OFF_PATIENCE.seconds} s"
    return Next(FenceStep.IDENTIFY, 0, text, failed=FenceOutcome.TIMED_OUT)


_OUTCOMES = {
    PowerProblem.REFUSED_AUTH: FenceOutcome.REFUSED_AUTH,
    PowerProblem.BAD_SETTINGS: FenceOutcome.REFUSED_AUTH,
    PowerProblem.UNREACHABLE: FenceOutcome.UNREACHABLE,
    PowerProblem.TIMED_OUT: FenceOutcome.TIMED_OUT,
}


def after_problem(problem: PowerProblem, text: str) -> Next:
    """The BMC gave no usable answer."""
    return Next(FenceStep.IDENTIFY, 0, text, failed=_OUTCOMES[problem])


def retry_pause(attempt: int, outcome: FenceOutcome, policy: Policy) -> float:
    """Seconds until the next attempt: doubling, and slow at once where only a person can help."""
    fatal = {_OUTCOMES[problem] for problem in FATAL} | {FenceOutcome.CONTRADICTION}
    if outcome in fatal:
        return policy.fence_retry_max
    return float(min(policy.fence_retry_first * 2 ** max(attempt - 1, 0), policy.fence_retry_max))
