"""Fencing one host: identify, off, settle, read back off, proof.

Killed between any two lines: the claim runs out, and the step is repeated.
*Off* twice is off; a reading is never assumed; only the proof closes runs.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from fencing.domain import steps
from fencing.domain.evidence import is_fresh, read_off_enough
from fencing.domain.facts import Identity
from fencing.domain.policy import Policy
from fencing.domain.power import FenceOutcome
from fencing.domain.steps import FenceStep, Next
from fencing.models import FenceOperation, PowerController
from fencing.operations.reading import Answer, bmc_of, gap_left, levels, read_all
from fencing.power import power_for
from fencing.power.port import PowerError
from fencing.selectors import controller_facts, policy_of
from fencing.services import fences
from hosts.models import Host
from hosts.services import work
from portal.lib import clock


def advance_fence(op: FenceOperation) -> None:
    """Carry a claimed fence one hardware step on."""
    host = Host.objects.select_related("cluster").get(pk=op.host_id)
    policy = policy_of(host)
    stages = levels(host.pk)
    level = int(op.data.get("level", 0))
    if level >= len(stages):
        following = Next(
            FenceStep.IDENTIFY,
            0,
            "no power controller is left to try",
            failed=FenceOutcome.UNREACHABLE,
        )
        fences.attempt_failed(op, host, following, policy, now=clock.now())
        return
    step = FenceStep(op.step or FenceStep.IDENTIFY)
    members = stages[level]
    if step is FenceStep.OFF:
        sent = turn_off(op, members, policy, wanted=lambda now: fences.still_wanted(op, now))
        if sent is None:
            return
        following = sent
    else:
        answers = read_all(members, policy.bmc_deadline)
        following = after_answers(op, step, answers, policy)
    fences.carry_on(
        op, host, following, policy, more_levels=level + 1 < len(stages), now=clock.now()
    )


def after_answers(
    op: FenceOperation, step: FenceStep, answers: Sequence[Answer], policy: Policy
) -> Next:
    """The least advanced controller of the level speaks for all: all must confirm off."""
    now = clock.now()
    results = []
    for item in answers:
        if item.error is not None:
            results.append(steps.after_problem(item.error.problem, str(item.error)))
        elif item.reading is None:
            continue
        elif step is FenceStep.IDENTIFY:
            identity = Identity(item.controller.identity)
            results.append(
                steps.after_identify(
                    item.reading.state,
                    proven=identity is Identity.PROVEN,
                    foreign=identity is Identity.FOREIGN,
                )
            )
        else:
            since = fences.commanded_at(op)
            facts = controller_facts(item.controller)
            reads = facts.off_reads if read_off_enough(facts, policy) else 1
            results.append(
                steps.after_read(
                    item.reading.state,
                    reads,
                    since,
                    policy,
                    now,
                    pause_s=gap_left(answers, policy, now),
                )
            )
    return min(results, key=_progress)


def _progress(item: Next) -> tuple[bool, bool, bool]:
    """Sort key: failed first, then whoever still needs the command, then unproven."""
    return (item.failed is None, item.step is not FenceStep.OFF, item.proven)


def turn_off(
    op: FenceOperation,
    members: Sequence[PowerController],
    policy: Policy,
    *,
    wanted: Callable[[datetime], bool],
    soft: bool = False,
) -> Next | None:
    """Send the command to every controller of the level; None when the claim was lost.

    ``wanted`` is asked right before each command whether it is still right.  ``soft``:
    the first controller asks the machine to shut down; nobody's power is cut.
    """
    for controller in members[:1] if soft else members:
        now = clock.now()
        if not wanted(now):
            text = "withdrawn before the command"
            return Next(FenceStep.IDENTIFY, 0, text, failed=FenceOutcome.CANCELLED)
        if controller.identity != Identity.PROVEN or not is_fresh(controller.asked_at, now):
            text = "it is long ago that the BMC said whose it is: it is asked again"
            return Next(FenceStep.IDENTIFY, 0, text)
        try:
            bmc = bmc_of(controller)
            now = clock.now()
            # The last moment to stop: an engine that was frozen here must not act.
            if not work.is_mine(op, now):
                return None
            left = work.time_left(op, now, policy.bmc_deadline)
            driver = power_for(bmc)
            (driver.ask_off if soft else driver.turn_off)(bmc, deadline=left)
        except PowerError as error:
            return steps.after_problem(error.problem, str(error))
    return steps.after_off(policy)
