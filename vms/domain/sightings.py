"""What one look says about the runs that may be on that host.

Pure: a look, the open runs and the known VMs go in; findings come out, each
with its reason.  ``vms.services.sightings`` writes them down.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hosts.domain.looks import Look, SeenGuest
from vms.domain import proofs
from vms.domain.clashes import clashes
from vms.domain.migrating import is_carried_on_elsewhere, only_arrives
from vms.domain.proofs import OpenRun


class Sighting(StrEnum):
    """Kinds of findings."""

    RUNNING = "running"  # the open run's copy executes here
    TAKEN_OVER = "taken_over"  # sanlock has granted its leases to the host that asked for them
    DIED = "died"  # the open run is over, provably (observed_off)
    REBOOTED = "rebooted"  # the host rebooted under it
    VANISHED = "vanished"  # neither running nor provably off: must be settled
    ADOPT = "adopt"  # runs here, no open run, no other possible holder
    STALE = "stale"  # a copy that must not run: suspend, alarm, quarantine
    LEFTOVER = "leftover"  # an unused definition that must go
    FORGOTTEN = "forgotten"  # this database is old, or not alone
    ARMED = "armed"  # the host may start it by itself
    RETURNED = "returned"  # a VM that was removed from the portal executes here
    GONE_AGAIN = "gone_again"  # ... and does so no more
    CLASH = "clash"  # two VMs on one disk
    HALF = "half"  # received for a run that is over, and never ran: destroy it
    CARRIED = "carried"  # its own life goes on here: somebody migrates it past the portal


@dataclass(frozen=True, slots=True)
class KnownVm:
    """A VM of this database: ``generation`` is the highest ever given out.

    ``removed``: nobody looks after it any more, but its copies are still known;
    ``seen_again_on`` is the host on which one was seen since.
    """

    pk: int
    uuid: str
    name: str
    generation: int
    ha: bool
    removed: bool = False
    seen_again_on: int | None = None
    disks: frozenset[str] = frozenset()  # paths that only it may write to


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a look shows, and why it matters."""

    kind: Sighting
    vm: int
    why: str
    guest: SeenGuest | None = None
    run: OpenRun | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which host was asked, when the question was sent, and what is known of it."""

    host: int
    at: datetime
    installation: str
    rebooted: bool = False
    first_contact: bool = False  # the first look after a proof about the whole host
    own: str = ""  # UUID of the machine that this portal runs in


def judge(
    look: Look, asked: Asked, runs: Mapping[int, OpenRun], vms: Mapping[str, KnownVm]
) -> tuple[Finding, ...]:
    """Return everything that ``look`` says; ``runs`` is keyed by VM, ``vms`` by UUID.

    ``runs`` must have been read *before* the question was sent: a look ends
    only runs that it knew of.
    """
    return (
        *_about_guests(look, asked, runs, vms),
        *_about_absent(look, asked, runs),
        *_about_removed(look, asked, vms),
        *_about_disks(look, vms),
    )


def _about_guests(
    look: Look, asked: Asked, runs: Mapping[int, OpenRun], vms: Mapping[str, KnownVm]
) -> Iterator[Finding]:
    for guest in look.guests:
        vm = vms.get(guest.uuid)
        if vm is None:
            continue
        run = runs.get(vm.pk)
        forgotten = _forgotten(guest, vm, asked)
        if forgotten:
            yield Finding(Sighting.FORGOTTEN, vm.pk, forgotten, guest, run)
        elif vm.removed:
            continue
        elif guest.executes:
            yield from _executing(guest, vm, run, asked)
        else:
            yield from _not_executing(guest, vm, run, asked)
        armed = guest.autostart or guest.managed_save
        if vm.ha and armed and guest.uuid != asked.own:  # nobody else starts this portal again
            yield Finding(
                Sighting.ARMED, vm.pk, "autostart or a saved state would start it by itself", guest
            )


def _about_removed(look: Look, asked: Asked, vms: Mapping[str, KnownVm]) -> Iterator[Finding]:
    """A removed VM is neither adopted nor stopped; that it runs after all, a person must know."""
    for vm in vms.values():
        if not vm.removed:
            continue
        guest = look.guest(vm.uuid)
        executes = guest is not None and guest.executes
        if executes and vm.seen_again_on is None:
            yield Finding(Sighting.RETURNED, vm.pk, "it was removed from the portal", guest)
        elif not executes and vm.seen_again_on == asked.host:
            yield Finding(Sighting.GONE_AGAIN, vm.pk, "the host runs it no more", guest)


def _about_disks(look: Look, vms: Mapping[str, KnownVm]) -> Iterator[Finding]:
    """Both VMs are meant: which of them the disk belongs to, a person must say."""
    for clash in clashes(look, vms):
        for vm in (clash.vm, clash.other):
            yield Finding(Sighting.CLASH, vm, clash.why, clash.guest)


def _forgotten(guest: SeenGuest, vm: KnownVm, asked: Asked) -> str:
    """Return why this copy is a sign of an old or a second database, or nothing."""
    if guest.stamp is None:
        return ""
    if guest.stamp.installation != asked.installation:
        return "its metadata names another installation of the portal"
    if guest.stamp.generation > vm.generation:
        return (
            f"it carries generation {guest.stamp.generation}, "
            f"but this database has only given out {vm.generation}"
        )
    return ""


def _executing(
    guest: SeenGuest, vm: KnownVm, run: OpenRun | None, asked: Asked
) -> Iterator[Finding]:
    if run is not None and asked.host in run.holders and proofs.copy_is_of_this_run(guest, run):
        yield Finding(Sighting.RUNNING, vm.pk, "its own run executes here", guest, run)
    elif run is not None and proofs.is_contenders(guest, run, asked.host):
        if proofs.is_takeover(guest, run, asked.host):  # else the one who started it asks on
            yield Finding(Sighting.TAKEN_OVER, vm.pk, "sanlock granted its leases", guest, run)
    elif is_carried_on_elsewhere(guest, run, asked.host):
        yield Finding(Sighting.CARRIED, vm.pk, "it is migrated past the portal", guest, run)
    elif _may_be_adopted(guest, asked) and proofs.has_no_other_holder(run):
        yield Finding(Sighting.ADOPT, vm.pk, "runs here and can run nowhere else", guest)
    elif only_arrives(guest):
        yield from _half(guest, vm, run)
    else:
        yield Finding(Sighting.STALE, vm.pk, _why_stale(run), guest, run)


def _may_be_adopted(guest: SeenGuest, asked: Asked) -> bool:
    """Whether it is nobody's copy, or this portal's own machine."""
    return guest.stamp is None or guest.uuid == asked.own


def _half(guest: SeenGuest, vm: KnownVm, run: OpenRun | None) -> Iterator[Finding]:
    """What arrives does not run yet; that of an earlier life never shall."""
    given = run.generation if run is not None else vm.generation + 1
    if guest.stamp is not None and guest.stamp.generation < given:
        why = "what a failed migration of an earlier run has left there"
        yield Finding(Sighting.HALF, vm.pk, why, guest, run)


def _why_stale(run: OpenRun | None) -> str:
    if run is None:
        return "its run is closed: this copy was proven dead or never started"
    return f"generation {run.generation} of this VM may be running on another host"


def _not_executing(
    guest: SeenGuest, vm: KnownVm, run: OpenRun | None, asked: Asked
) -> Iterator[Finding]:
    if run is None or asked.host not in run.holders:
        if guest.stamp is not None and (run is not None or asked.first_contact):
            why = "a definition left behind by an earlier run"
            yield Finding(Sighting.LEFTOVER, vm.pk, why, guest, run)
        return
    if run.contender is not None:
        return  # another host may hold it by now: whoever asked for its leases tells
    if run.migrating_to is None and proofs.is_observed_off(guest, run, asked.at):
        why = f"the host reports it {guest.state}, reason {guest.reason}"
        yield Finding(Sighting.DIED, vm.pk, why, guest, run)
    else:
        yield from _missing(run, asked, f"the host reports it off, reason {guest.reason}", guest)


def _about_absent(look: Look, asked: Asked, runs: Mapping[int, OpenRun]) -> Iterator[Finding]:
    listed = {guest.uuid for guest in look.guests}
    for run in runs.values():
        there = asked.host in run.holders and run.contender is None
        if there and run.vm_uuid not in listed:
            yield from _missing(run, asked, "the host's list does not name it", None)


def _missing(run: OpenRun, asked: Asked, text: str, guest: SeenGuest | None) -> Iterator[Finding]:
    """A run whose copy is not executing here, without libvirt's word for its end."""
    if not proofs.list_is_younger_than_run(asked.at, run):
        return
    if not proofs.no_call_is_outstanding(run) or not proofs.start_has_been_answered(run):
        return
    if asked.rebooted:
        yield Finding(Sighting.REBOOTED, run.vm, f"the host has rebooted, and {text}", guest, run)
    elif run.migrating_to is None and run.vm_uuid != asked.own:
        # A migration's own operation asks both hosts; to settle this portal would end it.
        yield Finding(Sighting.VANISHED, run.vm, text, guest, run)
