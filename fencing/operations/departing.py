"""Carrying a host's shutdown or reboot on: its guests, the machine's own shutdown, its way back.

Killed between any two lines: the claim runs out, and the step is repeated.  Asking a
machine twice to shut down harms nothing; it is switched on only after it was read off.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from fencing.domain.departing import PAUSE_S, DepartStep, Off, after_reading
from fencing.domain.evidence import is_fresh
from fencing.domain.facts import Identity
from fencing.domain.policy import Policy
from fencing.domain.steps import FenceStep
from fencing.models import FenceOperation, PowerController
from fencing.operations.fence import after_answers, turn_off
from fencing.operations.reading import levels, read_all
from fencing.operations.switching import TRIES, send_on
from fencing.selectors import policy_of
from fencing.services import departures, fences
from hosts.models import Host
from hosts.services import work
from portal.lib import clock

Controllers = Sequence[PowerController]
_CURE = "Look at its BMC: test it under power controllers, and repair what that says."


def advance_departure(op: FenceOperation) -> None:
    """Carry a claimed departure one hardware step on; only the first level is used."""
    host = Host.objects.select_related("cluster").get(pk=op.host_id)
    policy = policy_of(host)
    members = next(iter(levels(host.pk)), [])
    step = DepartStep(op.step or DepartStep.GUESTS)
    if not members and step in (DepartStep.ASK, DepartStep.READ, DepartStep.CUT):
        text = "no power controller is left"
        departures.failed(op, host, "no_bmc", text, _CURE, now=clock.now())
        return
    _STEPS[step](op, host, members, policy)


def _guests(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    departures.with_guests(op, host, policy, clock.now())


def _ask(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    _send(op, host, members, policy, DepartStep.ASK)


def _cut(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    _send(op, host, members, policy, DepartStep.CUT)


def _send(
    op: FenceOperation, host: Host, members: Controllers, policy: Policy, step: DepartStep
) -> None:
    """Identify, then command: one of both at a time."""
    if all(_is_known(item, clock.now()) for item in members):
        _command(op, host, members, policy, step)
        return
    answers = read_all(members, policy.bmc_deadline)
    following = after_answers(op, FenceStep.IDENTIFY, answers, policy)
    if following.failed is not None:
        _try_again(op, host, policy, following.text)
        return
    off = following.step is FenceStep.READ
    departures.carry_on(op, host, DepartStep.READ if off else step, following.text, now=clock.now())


def _command(
    op: FenceOperation, host: Host, members: Controllers, policy: Policy, step: DepartStep
) -> None:
    """Ask the machine to go off, or cut its power; one whose BMC cannot ask is cut off."""
    why, soft = "", step is DepartStep.ASK

    def wanted(now: datetime) -> bool:
        nonlocal why
        why = departures.why_not(op, now)
        return not why

    sent = turn_off(op, members, policy, wanted=wanted, soft=soft)
    if sent is None:
        return
    now = clock.now()
    if why:
        departures.carry_on(op, host, DepartStep.GUESTS, why, pause_s=PAUSE_S, now=now)
    elif sent.failed is not None and soft:
        text = f"it cannot be asked to shut down ({sent.text}): its power is cut, it is empty"
        departures.carry_on(op, host, DepartStep.CUT, text, now=now)
    elif sent.failed is not None:
        _try_again(op, host, policy, sent.text)
    else:
        text = "asked to shut down" if soft else sent.text
        to = DepartStep.READ if sent.step is FenceStep.READ else step
        departures.carry_on(op, host, to, text, pause_s=sent.pause_s, now=now)


def _is_known(controller: PowerController, now: datetime) -> bool:
    mine = controller.identity == Identity.PROVEN and not controller.problem
    return mine and is_fresh(controller.asked_at, now)


def _try_again(op: FenceOperation, host: Host, policy: Policy, text: str) -> None:
    now = clock.now()
    if op.attempt + 1 >= TRIES:
        departures.failed(op, host, "no_power", text, _CURE, now=now)
    else:
        pause = policy.fence_retry_first * 2**op.attempt
        work.wait(op, now, pause, text, attempt=op.attempt + 1)


def _read(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    answers = read_all(members, policy.bmc_deadline)
    following = after_answers(op, FenceStep.READ, answers, policy)
    now, since = clock.now(), fences.commanded_at(op)
    host.refresh_from_db()
    verdict = after_reading(following, cut=bool(op.data.get("cut")), since=since, now=now)
    if verdict is Off.PROVEN:
        departures.off(op, host, policy, now)
    elif verdict is Off.CUT:
        text = f"it does not go off by itself ({following.text}): its power is cut, it is empty"
        departures.carry_on(op, host, DepartStep.CUT, text, now=now)
    elif verdict is Off.FAIL:
        departures.failed(op, host, "stays_on", following.text, _CURE, now=now)
    else:
        work.wait(op, now, following.pause_s or PAUSE_S, following.text)


def _on(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    error = send_on(op, members, policy, every=True)
    if error is None:
        return
    if error:
        _try_again(op, host, policy, error)
    else:
        departures.switched_on(op, host, policy, clock.now())


def _boot(op: FenceOperation, host: Host, members: Controllers, policy: Policy) -> None:
    departures.look_for(op, host, policy, clock.now())


_STEPS: dict[DepartStep, Callable[[FenceOperation, Host, Controllers, Policy], None]] = {
    DepartStep.GUESTS: _guests,
    DepartStep.ASK: _ask,
    DepartStep.READ: _read,
    DepartStep.CUT: _cut,
    DepartStep.ON: _on,
    DepartStep.BOOT: _boot,
}
