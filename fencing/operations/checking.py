"""Reading a host's power: once when it is on, as often as a proof needs when it is off."""

from collections.abc import Sequence

from fencing.domain.alerts import CURE, AlertKind
from fencing.domain.evidence import read_off_enough
from fencing.domain.facts import EVIDENCE_MAX_AGE, Identity
from fencing.domain.power import PowerState
from fencing.models import FenceOperation
from fencing.operations.reading import Answer, gap_left, levels, read_all
from fencing.selectors import controller_facts, policy_of
from fencing.services import trust
from fencing.services.power import ROUND
from hosts.domain.states import ANSWERING
from hosts.models import Host
from hosts.services import work
from portal.core.models import OperationState
from portal.lib import clock
from portal.lib.queue import wake

_WHOSE = {
    Identity.FOREIGN: ", but it is another machine's",
    Identity.UNPROVEN: ", but whose it is, is not proven: it can fence nobody",
}


def advance_check(op: FenceOperation) -> None:
    """Ask every controller once; come back while an unbroken series of *off* is too short."""
    host = Host.objects.select_related("cluster").get(pk=op.host_id)
    policy = policy_of(host)
    controllers = [item for level in levels(host.pk) for item in level]
    if not controllers:
        text = "the host has no power controller"
        cure = "Add its BMC under power controllers."
        work.finish(op, clock.now(), OperationState.FAILED, text, code="no_bmc", cure=cure)
        return
    versions = [item.version for item in controllers]
    answers = read_all(controllers, policy.bmc_deadline)
    if versions != [item.controller.version for item in answers]:
        work.wait(op, clock.now(), 0, "its settings were changed meanwhile")
        return
    off = [
        controller_facts(item.controller)
        for item in answers
        if item.reading and item.reading.state is PowerState.OFF
    ]
    now = clock.now()
    host.refresh_from_db()
    answers_now = host.status in ANSWERING and host.slow_since is None
    if not answers_now and not all(read_off_enough(item, policy) for item in off):
        work.wait(op, now, gap_left(answers, policy, now), "off, to be read again")
    else:
        _believe_again(op, host, answers)
        _finish(op, answers)
    wake(ROUND, host.cluster_id)


def _believe_again(op: FenceOperation, host: Host, answers: Sequence[Answer]) -> None:
    """A person's test lifts distrust where the answer is *on* and the host answers as well."""
    lately = min(item.asked_at for item in answers) - EVIDENCE_MAX_AGE
    answered = host.last_seen is not None and host.last_seen > lately
    answers_now = answered and host.status in ANSWERING and not host.missed
    if op.requested_by == "portal" or not answers_now:
        return
    for item in answers:
        says_on = item.reading is not None and item.reading.state is PowerState.ON
        if says_on and item.controller.identity == Identity.PROVEN:
            trust.trust(item.controller.pk, op.requested_by, clock.now())


def _finish(op: FenceOperation, answers: Sequence[Answer]) -> None:
    """End the check with what each controller said; one that cannot be used fails it."""
    said = "; ".join(f"{item.controller}: {_said(item)}" for item in answers)
    code = cure = ""
    if any(_is_foreign(item) for item in answers):
        code, cure = "foreign", CURE[AlertKind.BMC_FOREIGN]
    elif all(item.error is not None for item in answers):
        code, cure = "no_answer", "Check the BMC's address, cable and account."
    state = OperationState.FAILED if code else OperationState.DONE
    work.finish(op, clock.now(), state, said, code=code, cure=cure)


def _said(item: Answer) -> str:
    if item.reading is None:
        return str(item.error)
    whose = _WHOSE.get(Identity(item.controller.identity), "")
    return f"{item.reading.state}{whose}"


def _is_foreign(item: Answer) -> bool:
    return item.reading is not None and item.controller.identity == Identity.FOREIGN
