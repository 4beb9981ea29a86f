"""Writing down what a look says about runs: the one transaction after each answer."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from hosts.domain.looks import GuestState, Look, SeenGuest
from hosts.models import Host
from hosts.services import looks
from portal.core.models import OPEN_STATES, OperationState, Setting
from portal.core.services import installation_id, record_event
from portal.lib import own_machine
from vms import selectors
from vms.domain.condition import is_paused_by_storage, state_of
from vms.domain.migrating import may_have_left, only_arrives
from vms.domain.proofs import OpenRun, whose_wish
from vms.domain.sightings import Asked, Finding, KnownVm, Sighting, judge
from vms.domain.states import EndReason, ProofKind, RunState, VmState
from vms.models import Run, Vm, VmOperation
from vms.services import guards, holders, migrating, pauses, requests, runs, takeovers
from vms.services.runs import AlreadyOpen, Evidence


@dataclass(frozen=True, slots=True)
class Before:
    """What was known when the question was sent: a look ends only runs that it knew of."""

    runs: dict[int, OpenRun]
    vms: dict[str, KnownVm]


def before(cluster_id: int) -> Before:
    """Read the open runs and known VMs of a cluster, before a host is asked."""
    return Before(selectors.open_runs(cluster_id), selectors.known_vms(cluster_id))


@transaction.atomic
def record(claim: looks.LookClaim, look: Look, known: Before, *, now: datetime) -> bool:
    """Record a whole answer: the host's row, then every finding; False when the turn was lost."""
    effect = looks.record_look(claim, look, now=now)
    if effect is None:
        return False
    host = claim.host
    asked = Asked(
        host=host.pk,
        at=claim.asked_at,
        installation=installation_id(),
        rebooted=effect.rebooted,
        first_contact=effect.first_contact,
        own=own_machine.uuid(),
    )
    looks.note_others(host, _others(look, known))
    findings = judge(look, asked, known.runs, known.vms)
    for finding in findings:
        _HANDLERS[finding.kind](finding, host, asked.at, now)
    unclean = (Sighting.LEFTOVER, Sighting.STALE, Sighting.FORGOTTEN)
    if effect.first_contact and not any(finding.kind in unclean for finding in findings):
        looks.forget_first_contact(host.pk, now)
    return effect.moved or effect.first_contact or _is_news(findings)


#: More guests than this on one host are not listed one by one.
_MOST_OTHERS = 200


def _others(look: Look, known: Before) -> list[dict[str, str]]:
    """Return the guests that nobody looks after, by name; transient ones come and go."""
    there = [
        guest
        for guest in look.guests
        if guest.uuid not in known.vms or known.vms[guest.uuid].removed
    ]
    return [
        {"uuid": guest.uuid, "name": guest.name, "state": guest.state}
        for guest in sorted(there, key=lambda guest: (guest.name, guest.uuid))[:_MOST_OTHERS]
    ]


def _is_news(findings: tuple[Finding, ...]) -> bool:
    return any(
        finding.kind is not Sighting.RUNNING
        or (finding.run is not None and finding.run.state == "starting")
        for finding in findings
    )


def _running(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    if finding.run is None or finding.guest is None:
        return
    if finding.run.state is RunState.STARTING:
        runs.mark_running(finding.run.pk, why="its host lists it", now=now)
    at_rest = Run.objects.filter(pk=finding.run.pk, ended_at__isnull=True)
    if at_rest.filter(migrating_to__isnull=True).exists():  # else its operation asks both hosts
        guest = finding.guest
        changed = runs.set_state(finding.vm, state_of(guest), f"on {host.name}", now)
        if changed or is_paused_by_storage(guest):
            pauses.note(finding.vm, host, guest, asked_at, now)
        _no_settlement(finding.run.pk, now)


def _taken_over(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    if finding.run is not None:
        takeovers.granted(finding.run.pk, host.pk, seen_at=asked_at, now=now)


def _no_settlement(run_id: int, now: datetime) -> None:
    """A run whose copy executes after all must not be settled as lost."""
    VmOperation.objects.filter(run_id=run_id, kind="settle", state__in=OPEN_STATES).update(
        state=OperationState.CANCELLED,
        version=F("version") + 1,
        ended_at=now,
        error_code="cancelled",
        error_text="it was seen running again",
    )


def _died(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    if finding.run is None or finding.guest is None:
        return
    evidence = Evidence(
        kind=ProofKind.OBSERVED_OFF,
        at=asked_at,
        text=finding.why,
        reason=_whose_wish(finding),
        details={"state": finding.guest.state, "reason": finding.guest.reason, "host": host.name},
    )
    runs.close_run(finding.run.pk, evidence, now)


def _whose_wish(finding: Finding) -> EndReason:
    """A stop asked for through the portal is nobody else's, whatever libvirt calls it."""
    if finding.guest is None or finding.run is None:
        return EndReason.NONE
    wanted_up = Vm.objects.filter(pk=finding.vm, wanted_up=True).exists()
    asked_down = Run.objects.filter(pk=finding.run.pk, asked_down=True).exists()
    lost = guards.has_lost_a_lock(finding.run.pk)
    return whose_wish(finding.guest, wanted_up=wanted_up, asked_down=asked_down, lock_lost=lost)


def _rebooted(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    if finding.run is None:
        return
    evidence = Evidence(
        kind=ProofKind.REBOOTED,
        at=asked_at,
        text=finding.why,
        reason=EndReason.HOST_LOST,
        details={"marker_before": host.boot_marker, "uptime_before_s": host.uptime_s},
    )
    if finding.run.migrating_to is None:
        runs.close_run(finding.run.pk, evidence, now)
    elif host.pk == finding.run.host:
        runs.move_run(finding.run.pk, evidence, now)
    else:
        holders.stop_moving(finding.run.pk, host.pk)


def _vanished(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    if finding.run is not None:
        run = Run.objects.get(pk=finding.run.pk)
        gone = may_have_left(finding.guest)
        requests.ask("settle", finding.vm, host.pk, now=now, run=run, why=finding.why, gone=gone)
        text = f"{host.name} has lost sight of it: {finding.why}"
        runs.set_state(finding.vm, VmState.UNKNOWN, text, now)


def _adopt(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    try:
        older = finding.guest is not None and finding.guest.stamp is not None
        runs.adopt_run(finding.vm, host, seen_at=asked_at, now=now, unstamped=older)
    except AlreadyOpen:
        return  # opened since the question was sent: the next look compares again


def _stale(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    runs.quarantine(finding.vm, why=finding.why, host=host, now=now)
    guest = finding.guest
    if guest is None or guest.uuid == own_machine.uuid():
        return  # this portal never stops itself: it may be the copy in which it runs
    if guest.state is not GuestState.PAUSED:
        requests.ask("suspend", finding.vm, host.pk, now=now, why=finding.why)


def _carried(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    if finding.run is not None and finding.guest is not None:
        arrives = only_arrives(finding.guest)
        migrating.noticed(finding.run.pk, host, arrives=arrives, now=now)


def _half(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    requests.ask("stop", finding.vm, host.pk, now=now, why=finding.why)


def _leftover(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    requests.ask("undefine", finding.vm, host.pk, now=now, why=finding.why)


def _armed(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    requests.ask("disarm", finding.vm, host.pk, now=now, why=finding.why)


def _forgotten(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    """No start, no fence, alarm: this database is old, or not alone (docs/decisions.md)."""
    guest = finding.guest
    if guest is not None and guest.stamp is not None:
        given = Vm.everything.values_list("generation", flat=True).get(pk=finding.vm)
        if guest.stamp.installation == installation_id() and guest.stamp.generation <= given:
            return  # opened while the host was being asked: the next look compares again
    why = f"{host.name} shows {finding.guest.name if finding.guest else 'a VM'}: {finding.why}"
    if guest is not None and guest.stamp is not None:
        _note_newer(finding, guest, host)
    _, new = Setting.objects.get_or_create(
        name=f"forgetful.{host.cluster_id}",
        defaults={"value": {"text": why, "at": now.isoformat()}},
    )
    if new:
        record_event("database.forgetful", why, now=now, host=host.pk, cluster=host.cluster_id)


def newer_name(cluster_id: int, which: str) -> str:
    """Return the setting that keeps one copy which is newer than the database."""
    return f"newer.{cluster_id}.{which}"


def _note_newer(finding: Finding, guest: SeenGuest, host: Host) -> None:
    """Keep where it was seen: whoever accepts the hosts' lists goes by that."""
    if guest.stamp is None:
        return
    value = {
        "vm": finding.vm,
        "host": host.pk,
        "generation": guest.stamp.generation,
        "executes": guest.executes,
        "foreign": guest.stamp.installation != installation_id(),
    }
    name = newer_name(host.cluster_id, f"{finding.vm}.{host.pk}")
    Setting.objects.update_or_create(name=name, defaults={"value": value})


def _returned(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    won = Vm.everything.filter(
        pk=finding.vm, removed_at__isnull=False, seen_again_on__isnull=True
    ).update(seen_again_on=host)
    if won:
        name = finding.guest.name if finding.guest else "a VM"
        text = f"{name} runs on {host.name}: {finding.why}; it is left alone"
        record_event(
            "vm.seen_after_removal",
            text,
            now=now,
            vm=finding.vm,
            host=host.pk,
            cluster=host.cluster_id,
        )


def _gone_again(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    Vm.everything.filter(pk=finding.vm, seen_again_on=host).update(seen_again_on=None)


def _clash(finding: Finding, host: Host, asked_at: datetime, now: datetime) -> None:
    runs.quarantine(finding.vm, why=finding.why, host=host, now=now, kind="vm.disk_clash")


_HANDLERS = {
    Sighting.RUNNING: _running,
    Sighting.TAKEN_OVER: _taken_over,
    Sighting.DIED: _died,
    Sighting.REBOOTED: _rebooted,
    Sighting.VANISHED: _vanished,
    Sighting.ADOPT: _adopt,
    Sighting.STALE: _stale,
    Sighting.CARRIED: _carried,
    Sighting.HALF: _half,
    Sighting.LEFTOVER: _leftover,
    Sighting.FORGOTTEN: _forgotten,
    Sighting.ARMED: _armed,
    Sighting.RETURNED: _returned,
    Sighting.GONE_AGAIN: _gone_again,
    Sighting.CLASH: _clash,
}
