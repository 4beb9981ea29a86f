"""Switching a proven-off host on again."""

from collections.abc import Sequence

from fencing.domain.facts import Identity
from fencing.domain.policy import Policy
from fencing.models import FenceOperation, PowerController
from fencing.operations.reading import bmc_of, levels
from fencing.power import power_for
from fencing.power.port import PowerError
from fencing.selectors import policy_of
from fencing.services import power
from hosts.models import Host
from hosts.services import work
from portal.core.models import OperationState
from portal.lib import clock

TRIES = 5


def advance_power_on(op: FenceOperation) -> None:
    """Send *on* through the first level that takes it; a boot is noticed by the looks."""
    host = Host.objects.select_related("cluster").get(pk=op.host_id)
    policy = policy_of(host)
    text = send_on(op, [item for level in levels(host.pk) for item in level], policy)
    if text is None:
        return
    if not text:
        power.switched_on(op, host.pk, clock.now())
    elif op.attempt + 1 >= TRIES:
        work.finish(op, clock.now(), OperationState.FAILED, text, code="no_power")
    else:
        pause = policy.fence_retry_first * 2**op.attempt
        work.wait(op, clock.now(), pause, text, attempt=op.attempt + 1)


def send_on(
    op: FenceOperation,
    controllers: Sequence[PowerController],
    policy: Policy,
    *,
    every: bool = False,
) -> str | None:
    """Send *on* through the first controller that takes it, or through ``every`` one.

    Return the empty text when it was taken, why not, or None when the claim was lost.
    """
    text = "the host has no power controller that is its own"
    taken = False
    for controller in controllers:
        if controller.identity == Identity.FOREIGN or not controller.trusted:
            continue  # another machine's power, or a liar's
        try:
            bmc = bmc_of(controller)
            now = clock.now()
            if not work.is_mine(op, now):
                return None
            left = work.time_left(op, now, policy.bmc_deadline)
            power_for(bmc).turn_on(bmc, deadline=left)
        except PowerError as problem:
            text = str(problem)
            continue
        taken = True
        if not every:
            break
    return "" if taken else text
