"""Carrying a fire drill on: the steps of a fence, then on, the boot, and a last reading.

Killed between any two lines: the claim runs out, and the step is repeated.  Once the
off command may have been sent, every way leads through *on*.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from fencing.domain.drill import DrillStep
from fencing.domain.policy import Policy
from fencing.domain.power import FenceOutcome, PowerState
from fencing.domain.steps import OFF_PATIENCE, FenceStep, Next
from fencing.models import FenceOperation, PowerController
from fencing.operations.fence import after_answers, turn_off
from fencing.operations.reading import gap_left, levels, read_all
from fencing.operations.switching import TRIES, send_on
from fencing.selectors import policy_of
from fencing.services import drills, fences
from fencing.services.drills import Failure
from hosts.models import Host
from hosts.services import work
from portal.lib import clock

Controllers = Sequence[PowerController]

_CURES = {
    FenceOutcome.REFUSED_AUTH: "Enter the BMC's right account under power controllers.",
    FenceOutcome.UNREACHABLE: "Check the BMC's address, cable and network.",
    FenceOutcome.TIMED_OUT: "Look at the BMC: it takes a command and does not carry it out.",
    FenceOutcome.CONTRADICTION: "Correct the BMC's address, and test it.",
}


def advance_drill(op: FenceOperation) -> None:
    """Carry a claimed drill one hardware step on; only the first level is tried."""
    host = Host.objects.select_related("cluster").get(pk=op.host_id)
    policy = policy_of(host)
    members = next(iter(levels(host.pk)), [])
    step = DrillStep(op.step or DrillStep.IDENTIFY)
    if not members and step is not DrillStep.BOOT:
        text = "no power controller is left"
        if step is DrillStep.ON:
            drills.stays_off(op, host, text, clock.now())
        else:
            failure = Failure("no_bmc", text, "Add its BMC under power controllers.")
            drills.spoiled(op, host, failure, now=clock.now())
        return
    _STEPS[step](op, host, members, policy)


def _identify(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    following = after_answers(
        op, FenceStep.IDENTIFY, read_all(members, policy.bmc_deadline), policy
    )
    now = clock.now()
    if following.failed is not None:
        _spoil(op, host, following)
    elif following.step is FenceStep.OFF:
        drills.carry_on(op, host, DrillStep.OFF, following.text, pause_s=0, now=now)
    elif op.data.get("sent"):
        drills.carry_on(op, host, DrillStep.READ, following.text, pause_s=0, now=now)
    else:
        drills.lied(op, host, "its BMC says off while it answers", now=now)


def _off(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    if getattr(op, "was_acting", False):
        drills.note_sent(op)  # whoever held the claim before may have sent it
    why = ""

    def wanted(now: datetime) -> bool:
        nonlocal why
        why = drills.why_not(op, now)
        if not why:
            drills.note_sent(op)
        return not why

    sent = turn_off(op, members, policy, wanted=wanted)
    if sent is None:
        return
    if why:
        drills.called_off(op, host, why, clock.now())
        return
    if sent.failed is not None:
        _spoil(op, host, sent)
        return
    step = DrillStep(sent.step)
    drills.carry_on(op, host, step, sent.text, pause_s=sent.pause_s, now=clock.now())


def _read(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    if drills.answered_since_off(op, host):
        drills.lied(op, host, "its BMC says off while it answers", now=clock.now())
        return
    answers = read_all(members, policy.bmc_deadline)
    following = after_answers(op, FenceStep.READ, answers, policy)
    now = clock.now()
    host.refresh_from_db()
    early = now - fences.commanded_at(op) < OFF_PATIENCE
    if early and following.failed in (FenceOutcome.UNREACHABLE, FenceOutcome.TIMED_OUT):
        # Some BMCs are deaf for a moment when the power goes.
        work.wait(op, now, gap_left(answers, policy, now), following.text)
        return
    if following.failed is not None:
        _spoil(op, host, following)
    elif not following.proven:
        work.wait(op, now, following.pause_s, following.text)
    elif drills.was_off(host, policy):
        drills.carry_on(op, host, DrillStep.ON, following.text, pause_s=0, now=now)
    else:
        drills.lied(op, host, "its BMC read back off, and the host answered all the same", now=now)


def _on(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    error = send_on(op, members, policy, every=True)
    now = clock.now()
    if error is None:
        return
    if not error:
        drills.switched_on(op, host, policy, now)
    elif op.attempt + 1 >= TRIES:
        drills.stays_off(op, host, error, now)
    else:
        pause = policy.fence_retry_first * 2**op.attempt
        work.wait(op, now, pause, error, attempt=op.attempt + 1)


def _boot(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    drills.look_for(op, host, policy, clock.now())


def _last(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    answers = read_all(members, policy.bmc_deadline)
    states = {item.reading.state if item.reading else None for item in answers}
    now = clock.now()
    if states == {PowerState.ON}:
        drills.passed(op, host, now)
    elif drills.is_late(op, now):
        if PowerState.OFF in states:
            drills.lied(op, host, "its BMC says off while it answers", now=now)
            return
        text = "it is back, and its BMC gives no usable answer since"
        cure = "Test its BMC: it may not fence it the next time."
        drills.spoiled(op, host, Failure("no_answer", text, cure), now=now)
    else:
        work.wait(op, now, policy.off_read_gap, "its BMC does not say on yet")


def _spoil(op: FenceOperation, host: Host, following: Next) -> None:
    outcome = following.failed or FenceOutcome.TIMED_OUT
    cure = _CURES.get(outcome, "Look at the BMC.")
    failure = Failure(str(outcome), following.text, cure)
    drills.spoiled(op, host, failure, now=clock.now())


_STEPS: dict[DrillStep, Callable[[FenceOperation, Host, Controllers, Policy], None]] = {
    DrillStep.IDENTIFY: _identify,
    DrillStep.OFF: _off,
    DrillStep.READ: _read,
    DrillStep.ON: _on,
    DrillStep.BOOT: _boot,
    DrillStep.LAST: _last,
}
