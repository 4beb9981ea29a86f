"""Shutting a host down or rebooting it at a person's word: asking, each step, and the way back.

While it lasts the host is wanted down: it takes no VM, and once it is empty its
silence is nobody's emergency.  A host that dies with VMs on it is a failure as ever.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from fencing.domain import departing
from fencing.domain.departing import PAUSE_S, DepartStep, Departure, Guests
from fencing.domain.policy import Policy
from fencing.models import FenceOperation
from fencing.selectors import cluster_facts, policy_of
from fencing.services import power, trust
from fencing.services.fences import commanded_at
from fencing.services.ha import move_ha
from fencing.services.inventory import NotAllowed
from hosts.domain.looks import GuestState
from hosts.domain.states import Wanted
from hosts.models import Cluster, Host
from hosts.services import looks, work
from hosts.services.moves import want
from portal.core.models import OPEN_STATES, OperationState
from portal.core.services import record_event
from portal.lib.ha.states import HaEvent
from portal.lib.queue import wake_on_commit
from vms.models import Run, Vm, VmOperation
from vms.services import requests

ROUND = "fencing.round"
LOOK = "vms.look"


@transaction.atomic
def ask(host: Host, what: Departure, *, actor: str, now: datetime) -> FenceOperation:
    """Ask for a shutdown or a reboot; raises :class:`NotAllowed`, having changed nothing."""
    Cluster.objects.select_for_update(no_key=True).get(pk=host.cluster_id)  # no round meanwhile
    host = Host.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=host.pk)
    facts = cluster_facts(host.cluster_id, now)
    policy = policy_of(host)
    seen = next(item for item in facts.hosts if item.pk == host.pk)
    found = departing.obstacle(facts, seen, policy, now)
    if found is not None:
        raise NotAllowed(found.text, found.cure)
    strangers = [item["name"] for item in host.others if item["state"] != GuestState.SHUT_OFF]
    if strangers:
        text = f"guests run on {host.name} that nobody looks after here: {', '.join(strangers[:5])}"
        raise NotAllowed(text, "Shut them down on the host, or adopt them.")
    waits = departing.guests_wait(policy, what)
    names = ", ".join(vm.name for vm in departing.runs_on(facts, host.pk)) or "no VM"
    fate = "wait for it" if waits else "go elsewhere"
    text = f"{actor} asks for a {what} of {host.name}; on it: {names}; those with HA {fate}"
    _tell("depart.asked", text, host, now, actor=actor, rule=what)
    after = Wanted.ACTIVE if host.wanted == Wanted.DOWN else host.wanted
    op = power.ask(what, host.pk, now=now, by=actor, after=after, waits=waits)
    want(host.pk, Wanted.DOWN, actor=actor, now=now)
    wake_on_commit(LOOK, host.pk)
    return op


@transaction.atomic
def with_guests(op: FenceOperation, host: Host, policy: Policy, now: datetime) -> None:
    """Carry on with what runs on the host: ask, wait, end, or give up."""
    facts = cluster_facts(host.cluster_id, now)
    seen = next(item for item in facts.hosts if item.pk == host.pk)
    since = datetime.fromisoformat(op.data.get("moved_at") or op.requested_at.isoformat())
    what = departing.with_guests(facts, seen, since, policy, now)
    if what is Guests.GONE:
        _is_off(op, host, "it is proven off already", now)
    elif what is Guests.EMPTY:
        carry_on(op, host, DepartStep.ASK, "no VM is left on it", now=now)
    elif what is Guests.GIVE_UP:
        names = ", ".join(vm.name for vm in departing.runs_on(facts, host.pk))
        text = f"after {policy.guest_stop_wait:g} s these still run: {names}"
        cure = "Stop them by hand, then ask again; or set guest_stop_refused to stop."
        failed(op, host, "guests_stay", text, cure, now=now)
    else:
        _go_on_asking(op, host, what, now)
    wake_on_commit(ROUND, host.cluster_id)


def _go_on_asking(op: FenceOperation, host: Host, what: Guests, now: datetime) -> None:
    if what is Guests.MOVE:
        op.data = op.data | {"moved_at": now.isoformat()}
    mine = carry_on(op, host, DepartStep.GUESTS, _WAITS_FOR[what], pause_s=PAUSE_S, now=now)
    if mine and what in (Guests.ASK, Guests.STOP):
        _ask_guests(op, host, "stop" if what is Guests.STOP else "shutdown", now)


_WAITS_FOR = {
    Guests.WAIT: "waiting until what is known of it is settled",
    Guests.MOVE: "its VMs are moved to other hosts",
    Guests.ASK: "its VMs are asked to shut down",
    Guests.STOP: "its VMs are stopped",
}


def _ask_guests(op: FenceOperation, host: Host, kind: str, now: datetime) -> None:
    """Ask every copy there once to shut down; or end it, as often as it takes."""
    waits_for = host if op.data.get("waits") else None
    here = Run.objects.filter(host=host, ended_at__isnull=True, migrating_to__isnull=True)
    for run in here.order_by("pk"):
        if kind == "shutdown" and run.asked_down:
            continue
        Run.objects.filter(pk=run.pk).update(asked_down=True)
        Vm.objects.filter(pk=run.vm_id).update(waits_for=waits_for)
        requests.ask(kind, run.vm_id, host.pk, now=now, run=run, why=f"{host.name} shall go off")


def why_not(op: FenceOperation, now: datetime) -> str:
    """Return why the power must not be touched after all: asked right before the command."""
    host = Host.objects.get(pk=op.host_id)
    mine = FenceOperation.objects.filter(pk=op.pk, version=op.version, state__in=OPEN_STATES)
    if not mine.exists():
        return "withdrawn before the command"
    facts = cluster_facts(host.cluster_id, now)
    return departing.why_not(facts, next(item for item in facts.hosts if item.pk == host.pk))


@transaction.atomic
def carry_on(
    op: FenceOperation,
    host: Host,
    step: DepartStep,
    text: str,
    *,
    pause_s: float = 0,
    now: datetime,
) -> bool:
    """Record a step's result and go on to ``step``, which may be the same one again."""
    before = DepartStep(op.step or DepartStep.GUESTS)
    data = op.data
    if before is not DepartStep.READ and step is DepartStep.READ:
        data = data | {"commanded_at": now.isoformat(), "cut": before is DepartStep.CUT}
    if not work.wait(op, now, pause_s, text, step=step, data=data, attempt=0):
        return False
    if step is not before:
        _tell("depart.step", f"{op.kind} of {host.name}: {text}", host, now, rule=str(step))
    return True


@transaction.atomic
def off(op: FenceOperation, host: Host, policy: Policy, now: datetime) -> None:
    """Its BMC read back off: that is the goal, and a proof for whatever was begun there."""
    if not power.proving(host, policy):
        lied = host.last_seen is not None and host.last_seen > commanded_at(op)
        if lied and host.controllers.filter(answered_at__lt=host.last_seen).exists():
            _contradicted(op, host, now)
        else:
            work.wait(op, now, PAUSE_S, "read back off, but not beyond doubt")
        return
    if Run.objects.filter(host=host, ended_at__isnull=True).exists():
        power.use_power_proof(host.pk, policy, rule=op.kind, why="it was shut down", now=now)
    else:
        looks.proven_off(host.pk, why=f"{op.kind} asked by {op.requested_by}", now=now)
        move_ha(host.pk, HaEvent.INELIGIBLE, why="it was shut down", rule="", now=now)
    _is_off(op, host, "read back off", now)


def _contradicted(op: FenceOperation, host: Host, now: datetime) -> None:
    text = "its BMC says off while it answers"
    for pk in host.controllers.values_list("pk", flat=True):
        trust.distrust(pk, text, now)
    cure = "Correct the address of its BMC and test it again."
    failed(op, host, "contradiction", text, cure, now=now)


def _is_off(op: FenceOperation, host: Host, text: str, now: datetime) -> None:
    if op.kind == Departure.REBOOT:
        carry_on(op, host, DepartStep.ON, text, now=now)
    elif work.finish(op, now, OperationState.DONE, f"{text}: it is down"):
        told = f"{host.name} was shut down at the word of {op.requested_by}"
        _tell("host.shut_down", told, host, now)
    wake_on_commit(ROUND, host.cluster_id)


@transaction.atomic
def switched_on(op: FenceOperation, host: Host, policy: Policy, now: datetime) -> None:
    """The BMC accepted on: wait for the boot."""
    until = now + timedelta(seconds=policy.boot_wait)
    op.data = op.data | {"on_at": now.isoformat(), "until": until.isoformat()}
    text = f"on accepted by the BMC; it has {policy.boot_wait:g} s to answer"
    if carry_on(op, host, DepartStep.BOOT, text, pause_s=PAUSE_S, now=now):
        Host.objects.filter(pk=host.pk).update(wanted=op.data["after"])
        power.powered_on(host.pk, f"rebooted at the word of {op.requested_by}", now)


@transaction.atomic
def look_for(op: FenceOperation, host: Host, policy: Policy, now: datetime) -> None:
    """Judge by the host's latest look whether it has come back."""
    back = host.last_seen is not None and host.last_seen > datetime.fromisoformat(op.data["on_at"])
    if back and not host.first_contact:
        if work.finish(op, now, OperationState.DONE, "it is back, freshly booted"):
            _tell("host.rebooted", f"{host.name} was rebooted and is back", host, now)
            wake_on_commit(ROUND, host.cluster_id)
    elif now >= datetime.fromisoformat(op.data["until"]) and not back:
        text = f"no answer {policy.boot_wait:g} s after it was switched on"
        cure = "Look at its console; those of its VMs that have HA start elsewhere."
        failed(op, host, "no_boot", text, cure, now=now)
    else:
        work.wait(op, now, PAUSE_S, "no answer yet" if not back else "its list is compared")


@transaction.atomic
def failed(
    op: FenceOperation, host: Host, code: str, text: str, cure: str, *, now: datetime
) -> None:
    """End a departure that cannot go on; the host is wanted again as it was before."""
    if not work.finish(op, now, OperationState.FAILED, text, code=code, cure=cure):
        return
    _tell("depart.failed", f"{op.kind} of {host.name} failed: {text}", host, now, rule=code)
    _want_again(op, host, now)


def _want_again(op: FenceOperation, host: Host, now: datetime) -> None:
    """A machine that was asked to go off is left as it is where only that was wanted."""
    sent = op.kind == Departure.SHUTDOWN and "commanded_at" in op.data
    if host.wanted == Wanted.DOWN and not sent:
        want(host.pk, Wanted(op.data["after"]), actor="portal", now=now)
    wake_on_commit(LOOK, host.pk)
    wake_on_commit(ROUND, host.cluster_id)


@transaction.atomic
def called_off(op: FenceOperation, *, now: datetime) -> None:
    """A person has cancelled it before the machine was asked."""
    host = Host.objects.get(pk=op.host_id)
    _want_again(op, host, now)
    open_here = VmOperation.objects.filter(host=host, kind__in=("shutdown", "stop"))
    open_here.filter(requested_by="portal", state=OperationState.REQUESTED).update(
        state=OperationState.CANCELLED, version=F("version") + 1, ended_at=now
    )


def _tell(kind: str, text: str, host: Host, now: datetime, **more: Any) -> None:
    record_event(kind, text, now=now, host=host.pk, cluster=host.cluster_id, **more)
