"""A person's word that a host is off: refused, accepted, and what it then does."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from fencing.domain.confirm import known_against
from fencing.domain.evidence import heartbeat_evidence
from fencing.domain.facts import HostFacts
from fencing.models import FenceOperation, HaResource, ManualConfirmation
from fencing.selectors import facts_of, policy_of
from fencing.services import power
from hosts.domain.heartbeat import HeartbeatEvidence
from hosts.domain.states import ANSWERING, HostStatus
from hosts.models import Host
from hosts.services import work
from portal.core.models import OPEN_STATES, OperationState, User
from portal.core.services import record_event
from portal.lib.ha.states import HaState
from vms.domain.states import EndReason, ProofKind
from vms.services.runs import Evidence

_STATUSES = (HostStatus.NON_RESPONSIVE, HostStatus.REBOOTING, HostStatus.KDUMPING)
_HA_STATES = (HaState.RECOVERING, HaState.FENCING, HaState.DEGRADED)

#: Evidence older than this is asked for again before the word is weighed.
MAX_AGE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a confirmation cannot be taken: the field, and what to do about it."""

    field: str
    text: str


def wrong_with(host: Host, *, typed_name: str, reason: str) -> Wrong | None:
    """Return what is wrong with a confirmation as entered, or None."""
    ha = HaResource.objects.filter(host=host).first()
    if host.status not in _STATUSES and (ha is None or ha.state not in _HA_STATES):
        text = f"{host.name} is {host.status}: there is nothing to confirm"
        return Wrong("host", text)
    if host.status in ANSWERING:
        return Wrong("host", f"{host.name} answers: it is on, whatever anybody says")
    if host.is_self:
        return Wrong("host", "this portal runs on that host: it cannot have been off")
    if typed_name.strip() != host.name:
        return Wrong("host_name", f"type the host's name, {host.name}, exactly")
    if not any(map(str.isalnum, reason)):  # spaces that do not show are no reason either
        return Wrong("reason", "say how you know that the host is off or was rebooted")
    return None


@transaction.atomic
def request(
    host: Host, user: User, *, typed_name: str, reason: str, override: bool, now: datetime
) -> FenceOperation:
    """Take down a person's word; the ``confirm`` operation weighs it against the evidence."""
    record_event(
        "confirm.asked",
        f"{user} says that {host.name} has been rebooted or is off: {reason}",
        now=now,
        host=host.pk,
        cluster=host.cluster_id,
        actor=str(user),
        evidence={"override": override},
    )
    return power.ask(
        "confirm",
        host.pk,
        now=now,
        by=str(user),
        user_id=user.pk,
        typed_name=typed_name,
        reason=reason,
        override=override,
    )


def evidence_is_fresh(host_id: int, now: datetime) -> bool:
    """Whether everything that can be asked was asked within the last 10 s."""
    facts = facts_of(Host.objects.get(pk=host_id), now)
    asked = [item.asked_at for item in facts.controllers]
    return all(at is not None and now - at <= MAX_AGE for at in asked)


@transaction.atomic
def decide(op: FenceOperation, now: datetime) -> bool:
    """Accept or refuse a claimed confirmation; True when its runs were ended."""
    host = Host.objects.select_related("cluster").select_for_update(of=("self",)).get(pk=op.host_id)
    facts, policy = facts_of(host, now), policy_of(host)
    against = known_against(facts, policy, now)
    override = bool(op.data.get("override"))
    changed = wrong_with(host, typed_name=op.data["typed_name"], reason=op.data["reason"])
    if changed is not None or (against and not override):
        text = changed.text if changed else against
        cure = "" if changed else "Cut its power, or override as an administrator if that is wrong."
        work.finish(op, now, OperationState.REFUSED, text, code="refused", cure=cure)
        record_event(
            "confirm.refused",
            f"confirmation of {host.name} refused: {text}",
            now=now,
            host=host.pk,
            cluster=host.cluster_id,
            actor=op.requested_by,
        )
        return False
    if work.finish(op, now, OperationState.DONE, "accepted: its VMs may start elsewhere"):
        known = _known(facts, heartbeat_evidence(facts, policy, now), against)
        _accept(op, host, known, against, now)
    return True


def _accept(
    op: FenceOperation, host: Host, known: dict[str, Any], against: str, now: datetime
) -> None:
    ManualConfirmation.objects.create(
        host=host,
        user_id=op.data["user_id"] or None,
        actor=op.requested_by,
        at=op.requested_at,
        typed_name=op.data["typed_name"],
        reason=op.data["reason"],
        override=bool(against),
        known=known,
    )
    if against:
        text = f"OVERRIDE by {op.requested_by} on {host.name}, although {against}"
        record_event("confirm.override", text, now=now, host=host.pk, actor=op.requested_by)
    evidence = Evidence(
        kind=ProofKind.MANUAL,
        at=op.requested_at,
        text=f"{op.requested_by} confirmed that {host.name} is off: {op.data['reason']}",
        reason=EndReason.HOST_LOST,
        actor=op.requested_by,
        details=known | {"typed_name": op.data["typed_name"], "override": bool(against)},
    )
    for fence in FenceOperation.objects.filter(host=host, kind="fence", state__in=OPEN_STATES):
        work.cancel_unclaimed(fence, now, "a person confirmed that the host is off")
    power.off_is_proven(host, evidence, rule="manual", now=now)


def _known(facts: HostFacts, beat: HeartbeatEvidence, against: str) -> dict[str, Any]:
    """Return what the portal knew when the word was taken, for the audit."""
    return {
        "status": facts.status,
        "ha": facts.ha,
        "last_seen": facts.last_seen.isoformat() if facts.last_seen else None,
        "kernel_seen": facts.kernel_seen.isoformat() if facts.kernel_seen else None,
        "bmc": [
            {"state": item.state, "problem": item.problem, "identity": item.identity}
            for item in facts.controllers
        ],
        "heartbeat": beat.why,
        "against": against,
    }
