"""What a look changes on the host's own row.  Runs are ``vms.services.sightings``."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from hosts.domain.liveness import Pace, after_good_look, after_missed_look, carries, rebooted
from hosts.domain.looks import KernelSign, Look
from hosts.domain.states import SILENCE_EXPECTED, SLOW_LOOK, HostEvent, HostStatus, Wanted
from hosts.models import Host
from hosts.services import owners
from hosts.services.moves import move_host
from portal.core.services import record_event
from portal.lib import own_machine
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit

LOOK = "vms.look"
#: Hosts of which no answer is expected are asked this often.
SLOW_POLL = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class LookClaim:
    """The right to look at a host once; lost when ``version`` has moved on."""

    host: Host
    version: int
    asked_at: datetime
    pace: Pace


@dataclass(frozen=True, slots=True)
class LookEffect:
    """What a recorded look changed, for whoever must react."""

    moved: bool
    rebooted: bool = False
    first_contact: bool = False
    disproved: bool = False  # the boot marker is the one from before the proof


def claim_look(host_id: int, pace: Pace, *, now: datetime, early: bool = False) -> LookClaim | None:
    """Take the turn to look at a host, or return None when it is not due or taken.

    ``early``: a hint came in, so the turn may be taken before its time, though by
    no more than a regular pause: a turn due later than that is somebody's, who is
    still waiting for the answer.
    """
    early_s = pace.poll_s if early else 0.0
    host = Host.objects.select_related("cluster").filter(pk=host_id).first()
    if host is None or host.look_due_at > now + timedelta(seconds=early_s):
        return None
    won = Host.objects.filter(pk=host_id, look_version=host.look_version).update(
        look_version=F("look_version") + 1,
        look_due_at=now + timedelta(seconds=pace.deadline_s + 2),
    )
    return LookClaim(host, host.look_version + 1, now, pace) if won else None


def note_slow(claim: LookClaim, now: datetime) -> bool:
    """A healthy host answers at once; say that this one has not, so that its BMC is asked."""
    changed = Host.objects.filter(
        pk=claim.host.pk, look_version=claim.version, slow_since__isnull=True
    ).update(slow_since=claim.asked_at)
    return bool(changed)


def _take(claim: LookClaim, due_at: datetime, **changes: Any) -> bool:
    return bool(
        Host.objects.filter(pk=claim.host.pk, look_version=claim.version).update(
            look_due_at=due_at, **changes
        )
    )


@transaction.atomic
def record_missed(
    claim: LookClaim,
    *,
    text: str,
    kernel: KernelSign,
    now: datetime,
) -> LookEffect | None:
    """Count an unanswered look; None when the turn was lost."""
    host, miss = claim.host, owners.after_miss(claim.host, claim.asked_at, now)
    missed = host.missed + 1
    pause = SLOW_POLL if host.status in SLOW_LOOK else timedelta(seconds=claim.pace.poll_s)
    changes: dict[str, Any] = {
        "missed": missed,
        "missed_since": host.missed_since or claim.asked_at,
        "missed_at": claim.asked_at,
        "slow_since": host.slow_since or claim.asked_at,
        **miss.changes,
    }
    if kernel is KernelSign.ALIVE:  # silence says nothing: it takes no sign of life away
        changes["kernel_seen"] = claim.asked_at
    # The turn ends when the answer failed to come; a silent host is asked again at once.
    if not _take(claim, max(now, claim.asked_at + pause), **changes):
        return None
    event = after_missed_look(missed, claim.pace.missed_polls, to_all=miss.silent_to_all)
    # Whoever has just entered a host wants to know why it was never seen.
    quiet = host.status in SILENCE_EXPECTED - {HostStatus.PENDING}
    moved = move_host(host.pk, event, why=text, now=now, quiet=quiet)
    return LookEffect(moved=moved)


def _tell_disproved(host: Host, now: datetime, *, news: bool) -> None:
    if not news:
        return
    text = (
        f"{host.name} answers with the boot marker from before its proof: it was never off, "
        "or it has slept (suspended to disk) and goes on with its guests"
    )
    record_event("host.disproved", text, now=now, host=host.pk, cluster=host.cluster_id)


@transaction.atomic
def record_look(claim: LookClaim, look: Look, *, now: datetime) -> LookEffect | None:
    """Write down a whole answer; None when the turn was lost, or a stranger answered.

    The identity of a host is learned at the first look and never changed by a
    later one: an answer of another machine is a missed look, and nothing in its
    list may be used.  But whoever answers there is no sign of death either.
    """
    host = claim.host
    foreign = stranger(host, look)
    if foreign:
        record_missed(claim, text=foreign, kernel=KernelSign.ALIVE, now=now)
        return None
    has_rebooted = rebooted(
        marker_before=host.boot_marker,
        marker_now=look.boot_marker,
        uptime_before_s=host.uptime_s,
        uptime_now_s=look.uptime_s,
    )
    disproved = bool(host.marker_at_proof) and look.boot_marker == host.marker_at_proof
    changes = _learned(look) | _answered(claim.asked_at) | owners.after_answer(host, now)
    changes |= {"lost_at": host.last_seen} if has_rebooted else {}  # it went down after that
    changes["disproved"] = disproved or (host.disproved and not has_rebooted)
    changes["is_self"] = _carries_us(host, look, has_rebooted)
    if host.first_contact and not disproved:
        changes["back_at"] = claim.asked_at
    if not _take(claim, claim.asked_at + timedelta(seconds=claim.pace.poll_s), **changes):
        return None
    _note_place(host.pk, ours=changes["is_self"])
    if look.boot_marker != (host.boot_marker or None) or host.slow_since:
        announce_on_commit("host", host.pk)
    event = after_good_look(fit=True, wanted=Wanted(host.wanted))
    moved = move_host(host.pk, event, why="it answers", now=now)
    _note_blip(host, moved=moved, now=now)
    _tell_disproved(host, now, news=disproved and not host.disproved)
    return LookEffect(
        moved=moved,
        rebooted=has_rebooted,
        first_contact=host.first_contact,
        disproved=disproved,
    )


@transaction.atomic
def entered_with(host_id: int, look: Look, *, asked_at: datetime, now: datetime) -> None:
    """A host that was looked at as it was entered is up: what runs there is adopted already."""
    Host.objects.filter(pk=host_id).update(**_learned(look) | _answered(asked_at))
    move_host(host_id, HostEvent.SEEN_FIT, why="it answered as it was entered", now=now)


def _carries_us(host: Host, look: Look, has_rebooted: bool) -> bool:
    before = host.is_self and not has_rebooted
    return carries(look, own_machine.uuid(), before=before)


def _note_place(host_id: int, *, ours: bool) -> None:
    """Where the portal runs on this host it is on no other one: a machine is in one place."""
    if ours:
        Host.objects.filter(is_self=True).exclude(pk=host_id).update(is_self=False)


def stranger(host: Host, look: Look) -> str:
    """Return why this look is another machine's and not ``host``'s own, or the empty text."""
    if host.host_uuid:
        same = look.host_uuid == host.host_uuid
        return "" if same else f"another machine answers there (UUID {look.host_uuid})"
    others = Host.objects.exclude(pk=host.pk).exclude(host_uuid="")
    twin = others.filter(host_uuid=look.host_uuid).first()
    return f"the machine that answers there is {twin.name} already" if twin else ""


def _answered(asked_at: datetime) -> dict[str, Any]:
    """What every good answer ends: the count of missed looks and all suspicion."""
    return {
        "missed": 0,
        "missed_since": None,
        "slow_since": None,
        "kernel_seen": None,
        "kdump_since": None,
        "last_seen": asked_at,
    }


def _note_blip(host: Host, *, moved: bool, now: datetime) -> None:
    if moved and host.missed and host.last_seen:
        silent = (now - host.last_seen).total_seconds()
        record_event(
            "host.answers",
            f"{host.name} answers again after {silent:.0f} s of silence",
            now=now,
            host=host.pk,
            cluster=host.cluster_id,
        )


def _learned(look: Look) -> dict[str, Any]:
    return {
        "host_uuid": look.host_uuid,
        "hostname": look.hostname,
        "memory_mib": look.memory_mib,
        "vcpus": look.vcpus,
        "cpu_arch": look.cpu_arch,
        "cpu_model": look.cpu_model,
        "boot_marker": look.boot_marker or "",
        "uptime_s": look.uptime_s,
        "networks": look.networks,
        "storage": look.storage,
    }


def hasten(host_id: int, now: datetime) -> None:
    """Let a host that rests after a missed look be asked at once; a look under way goes on."""
    host = Host.objects.get(pk=host_id)
    rests = host.missed and host.missed_at and host.look_due_at <= host.missed_at + SLOW_POLL
    if rests and host.look_due_at > now:
        mine = Host.objects.filter(pk=host_id, look_version=host.look_version)
        if mine.update(look_due_at=now):
            wake_on_commit(LOOK, host_id)


def set_marker(host_id: int, token: str) -> None:
    """Remember the boot marker just placed; the next look would learn it too."""
    Host.objects.filter(pk=host_id, boot_marker="").update(boot_marker=token)


def forget_disproof(host_id: int) -> None:
    """Whatever vouched for the false proof has been replaced: the next one counts again."""
    Host.objects.filter(pk=host_id).update(disproved=False)


def forget_first_contact(host_id: int, now: datetime) -> None:
    """The first list after a proof was compared and cleaned: the host may be used again."""
    Host.objects.filter(pk=host_id).update(first_contact=False, marker_at_proof="")
    record_event(
        "host.compared", "first list compared, no stale copy is left", now=now, host=host_id
    )


@transaction.atomic
def proven_off(host_id: int, *, why: str, now: datetime) -> None:
    """Something proved the whole host off: remember its marker, expect a first contact."""
    host = Host.objects.get(pk=host_id)
    Host.objects.filter(pk=host_id).update(
        first_contact=True,
        marker_at_proof=host.boot_marker or host.marker_at_proof,
        # An answer under way knows nothing of the proof: it is void, and asked again at once.
        look_version=F("look_version") + 1,
        look_due_at=now,
        disproved=False,
        slow_since=None,
    )
    move_host(host_id, HostEvent.PROVEN_OFF, why=why, now=now)


def note_lost(host_id: int, at: datetime) -> None:
    """The whole host was proven off or dead at that time."""
    rows = Host.objects.filter(pk=host_id)
    rows.filter(Q(lost_at__isnull=True) | Q(lost_at__lt=at)).update(lost_at=at)


def expect_first_contact(host_id: int) -> None:
    """Its runs are over without its power being off: its next list is compared first."""
    host = Host.objects.get(pk=host_id)
    Host.objects.filter(pk=host_id).update(
        first_contact=True, marker_at_proof=host.boot_marker or host.marker_at_proof
    )


@transaction.atomic
def powered_on(host_id: int, *, why: str, now: datetime) -> None:
    """The portal switched it on: look often until it answers."""
    Host.objects.filter(pk=host_id).update(look_due_at=now, missed=0)
    move_host(host_id, HostEvent.POWERED_ON, why=why, now=now)


def note_others(host: Host, others: list[dict[str, str]]) -> None:
    """Keep which guests a host has that the portal does not look after; ``uuid, name, state``."""
    if host.others != others:
        Host.objects.filter(pk=host.pk).update(others=others)
        announce_on_commit("host", host.pk, "others")
