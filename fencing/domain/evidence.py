"""From raw answers to typed evidence: YES, NO or UNKNOWN, each with a reason."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fencing.domain.facts import EVIDENCE_MAX_AGE, ControllerFacts, HostFacts, Identity
from fencing.domain.policy import Policy
from fencing.domain.power import PowerState
from hosts.domain.activity import Writes, writes
from hosts.domain.heartbeat import Beat, HeartbeatEvidence, heartbeat
from hosts.domain.states import ANSWERING, HostStatus
from vms.domain import proofs

#: Statuses of a host whose silence was not expected.
SUSPICIOUS = frozenset({HostStatus.CONNECTING, HostStatus.NON_RESPONSIVE, HostStatus.KDUMPING})


class Bmc(StrEnum):
    """What the BMC side says of a host."""

    ON = "on"
    OFF = "off"  # and everything that makes it a proof
    OFF_ONCE = "off_once"  # read off, not yet often enough
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class BmcEvidence:
    """The answer of the first level that answers whole, and why it is that."""

    answer: Bmc
    why: str
    controllers: tuple[int, ...] = ()


def is_fresh(asked_at: datetime | None, now: datetime) -> bool:
    """Whether an answer is young enough to be used: stale evidence is UNKNOWN."""
    return asked_at is not None and now - asked_at <= EVIDENCE_MAX_AGE


def usable(controller: ControllerFacts, now: datetime) -> str:
    """Return why this controller's answer proves nothing, or the empty text."""
    if controller.problem is not None:
        return f"no usable answer ({controller.problem})"
    if not controller.trusted:
        return "distrusted until it is tested again"
    if controller.identity is Identity.FOREIGN:
        return "it is another machine's BMC"
    if controller.identity is Identity.UNPROVEN:
        return "its identity is not proven"
    if not is_fresh(controller.asked_at, now):
        return "its answer is too old"
    return ""


def bmc_evidence(host: HostFacts, policy: Policy, now: datetime) -> BmcEvidence:
    """Return what the BMCs say: levels in order, and within a level all must agree."""
    reasons: list[str] = []
    for level in sorted({controller.level for controller in host.controllers}):
        members = [item for item in host.controllers if item.level == level]
        useless = [why for item in members if (why := usable(item, now))]
        if not useless:
            return _level_says(members, host, policy)
        reasons.extend(useless)
    return BmcEvidence(Bmc.NO_ANSWER, "; ".join(reasons) or "the host has no power controller")


def _level_says(members: list[ControllerFacts], host: HostFacts, policy: Policy) -> BmcEvidence:
    pks = tuple(item.pk for item in members)
    if any(item.state is PowerState.ON for item in members):
        return BmcEvidence(Bmc.ON, "the BMC says on", pks)
    if any(item.state is not PowerState.OFF for item in members):
        return BmcEvidence(Bmc.NO_ANSWER, "the BMC says neither on nor off", pks)
    firsts = [item.first_off_at for item in members if item.first_off_at is not None]
    whole = len(firsts) == len(members) and all(read_off_enough(item, policy) for item in members)
    if whole and proofs.is_silent_since(host.last_seen, min(firsts)):
        text = f"the BMC said off {policy.off_reads} times, libvirt silent since the first"
        return BmcEvidence(Bmc.OFF, text, pks)
    return BmcEvidence(Bmc.OFF_ONCE, "the BMC said off; to be read again", pks)


def read_off_enough(controller: ControllerFacts, policy: Policy) -> bool:
    """Whether *off* was read ``off_reads`` times, ``off_read_gap`` apart."""
    first = controller.first_off_at
    return (
        first is not None
        and proofs.enough_off_reads(controller.off_reads, policy.off_reads)
        and proofs.off_reads_are_apart(
            first, controller.asked_at, policy.off_reads, policy.off_read_gap
        )
    )


def contradiction(host: HostFacts) -> ControllerFacts | None:
    """Return the trusted controller that said off before the host showed life again, if any.

    Decision row 1.  The question that was answered by life must have been sent
    after the reading's answer had arrived.  Readings from before a host came back
    after a proof, or from before the boot that it tells of, are about the time before,
    and contradict nothing: somebody has switched it on.
    """
    lived_at = _lived_at(host)
    if host.first_contact or lived_at is None:
        return None
    for item in host.controllers:
        if not item.trusted or item.state is not PowerState.OFF:
            continue
        began = [at for at in (host.back_at, host.booted_at) if at is not None]
        old = item.asked_at is not None and any(item.asked_at <= at for at in began)
        if item.answered_at is not None and not old and lived_at > item.answered_at:
            return item
    return None


def _lived_at(host: HostFacts) -> datetime | None:
    """When the host last showed for certain that it was on: by libvirt, or by its heartbeat."""
    if host.status in ANSWERING:
        return host.last_seen
    if host.status not in SUSPICIOUS:
        return None
    beats = (track.before_at for track in host.heartbeats if track.problem is None)
    return max((at for at in beats if at is not None), default=None)


def _still_says(asked_at: datetime | None, policy: Policy, now: datetime) -> bool:
    """Whether what a look found is young enough to go by.

    A look is as old as its question, so a patient ``connect_deadline`` makes every
    answer older.
    """
    patience = timedelta(seconds=2 * policy.connect_deadline + policy.poll)
    return asked_at is not None and now - asked_at <= max(EVIDENCE_MAX_AGE, patience)


def looked_lately(host: HostFacts, policy: Policy, now: datetime) -> bool:
    """Whether the last unanswered look is young enough to go by.

    An engine that has not asked for a while knows nothing of the host: its own
    slowness is nobody's death.
    """
    return _still_says(host.missed_at, policy, now)


def kernel_lives(host: HostFacts, policy: Policy, now: datetime) -> bool:
    """Whether the network layer has shown a living kernel lately, since the host fell silent.

    A later look without such a sign takes nothing away: a packet lost on the way
    says nothing, and a host is not powered off for a blink of the network.
    """
    return _still_says(host.kernel_seen, policy, now)


def heartbeat_evidence(host: HostFacts, policy: Policy, now: datetime) -> HeartbeatEvidence:
    """Return what the host's storage heartbeat says."""
    return heartbeat(host.heartbeats, policy.storage_silence, host.last_seen, now)


def heartbeat_advances(host: HostFacts, policy: Policy, now: datetime) -> bool:
    """Whether shared storage shows the host alive."""
    return heartbeat_evidence(host, policy, now).beat is Beat.ADVANCES


def disk_writes(host: HostFacts, policy: Policy, now: datetime) -> Writes:
    """Return whether its VMs still write, where policy wants that looked for."""
    if policy.activity_check != "on":
        return Writes.UNKNOWN
    return writes(
        host.activity,
        samples=int(policy.activity_samples),
        interval_s=policy.activity_interval,
        idle_share=policy.activity_ratio,
        now=now,
    )


def identity_of(guid: str | None, host_uuid: str) -> Identity:
    """Return whose BMC it is by what it tells of itself."""
    if proofs.identity_is_proven(guid, host_uuid):
        return Identity.PROVEN
    return Identity.FOREIGN if guid and host_uuid else Identity.UNPROVEN
