"""Migrating a running VM: one call, and then both hosts are asked until they tell what came of it.

Steps: ``check`` → ``call`` → ``watch`` (→ ``cancel``, ``clean`` or ``end_source``, and back)
→ ``landing`` → done.

Killed between any two lines: before ``watch`` is written nothing was sent.  From then on the
target counts as a possible holder until both hosts, or a proof, say otherwise; whoever comes
next asks them as if the call had never been answered.  Nothing is concluded from time alone.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from hosts.domain.looks import Look
from hosts.hypervisor import hypervisor_for
from hosts.hypervisor.port import (
    Hypervisor,
    HypervisorError,
    NoSuchGuest,
    NotSent,
    Refused,
    Transfer,
)
from hosts.models import Host
from hosts.services import work
from portal.core.models import OperationState
from portal.lib import clock
from vms import selectors
from vms.domain.migrating import (
    UNANSWERED,
    Pair,
    There,
    Verdict,
    judge,
    never_ran_there,
    there_of,
)
from vms.domain.states import HOST_PROOFS, EndReason, ProofKind, VmState
from vms.models import Run, VmOperation
from vms.operations.looking import own_look, target_of
from vms.operations.sent import POLL_S, QUESTION_S, clean, end_source, stop_sending
from vms.selectors import run_of
from vms.services import migrating
from vms.services.runs import Evidence

#: Pause while a person must choose between two copies.
HELD_S = 5.0


def advance_migrate(op: VmOperation, deadline_s: float) -> None:
    """Carry a claimed migration one step on."""
    run = run_of(op)
    now = clock.now()
    if op.step == "landing" or run.ended_at is not None:
        _landing(op, run)
    elif run.migrating_to is None:
        text = "the other host was proven to hold nothing"
        migrating.stays(op, run, text, now=now)
    elif run.vm.quarantined:
        work.wait(op, now, HELD_S, "quarantined: a person must choose")
    else:
        _STEPS[op.step or "check"](op, run, run.migrating_to)


def _hypervisor(host: Host) -> Hypervisor:
    return hypervisor_for(target_of(host))


def _check(op: VmOperation, run: Run, target: Host) -> None:
    """Read the target's list: it must answer, and run no copy of it."""
    if selectors.is_distrusted(target.cluster_id):
        text = "the database is older than what the hosts show: nothing is moved"
        migrating.stays(op, run, text, now=clock.now())
        return
    try:
        look = own_look(target, _hypervisor(target), QUESTION_S)
    except HypervisorError as error:
        migrating.stays(op, run, str(error), now=clock.now())
        return
    guest = look.guest(run.vm.uuid)
    if guest is not None and guest.executes:
        text = f"a copy of it executes on {target.name} already"
        migrating.stays(op, run, text, now=clock.now())
    else:
        text = f"{target.name} answers and runs no copy of it"
        work.wait(op, clock.now(), 0, text, step="call")


def _call(op: VmOperation, run: Run, target: Host) -> None:
    """Send it; that it may have left is written down before."""
    if op.data.get("cancel"):
        migrating.stays(op, run, "cancelled before anything was sent", now=clock.now())
        return
    data = op.data | {"called_at": clock.now().isoformat(), "unanswered": True}
    if not work.record(op, clock.now(), step="watch", data=data):
        return
    if not work.is_mine(op, clock.now()):
        return
    transfer = Transfer(
        peer=target_of(target),
        bandwidth_mib=int(op.data.get("bandwidth_mib", 0)),
        post_copy=bool(op.data.get("post_copy", False)),
    )
    left = work.time_left(op, clock.now(), QUESTION_S)
    try:
        _hypervisor(run.host).migrate(run.vm.uuid, transfer, deadline=left)
    except NotSent as error:
        migrating.stays(op, run, str(error), now=clock.now())
    except Refused as error:
        text = f"{run.host.name} refused: {error}"
        work.wait(op, clock.now(), 0, text, data=op.data | {"unanswered": False, "refused": text})
    except HypervisorError as error:
        work.wait(op, clock.now(), POLL_S, f"no answer: {error}")
    else:
        text = f"{run.host.name} sends it to {target.name}"
        work.wait(op, clock.now(), POLL_S, text, data=op.data | {"unanswered": False})


def _watch(op: VmOperation, run: Run, target: Host) -> None:
    """Ask the target, then the source, and do what follows from both."""
    there = _target_shows(run, target)
    source, told, asked_at = _source_shows(run)
    now = clock.now()
    data = _noted(op, source, there, now)
    pair = Pair(source, there, source_gone_before="gone_at" in op.data)
    shown_for = now - datetime.fromisoformat(data["since"])
    verdict = judge(pair, shown_for)
    if verdict is Verdict.STAYS and op.data.get("unanswered") and shown_for < UNANSWERED:
        verdict = Verdict.WAIT
    _show(run, target, pair, told)
    if verdict is Verdict.WAIT:
        ending = source is There.SENDS and _is_unwanted(op, now)
        step = "cancel" if ending else "watch"
        work.wait(op, now, 0 if ending else POLL_S, told, step=step, data=data)
    elif verdict is Verdict.MOVED:
        migrating.moved(op, run, _gone(run, target, source, asked_at), now=now)
    elif verdict is Verdict.STAYS:
        migrating.stays(op, run, _why_it_stays(op, run, source), now=now)
    elif verdict is Verdict.SPLIT:
        migrating.split(run, target, now=now)
        work.wait(op, now, HELD_S, f"{target.name} runs it as well", data=data)
    else:
        work.wait(op, now, 0, "", step=str(verdict), data=data)


def _target_shows(run: Run, target: Host) -> There:
    try:
        look = own_look(target, _hypervisor(target), QUESTION_S)
    except HypervisorError:
        return There.SILENT
    return there_of(look.guest(run.vm.uuid), selectors.frozen(run))


def _source_shows(run: Run) -> tuple[There, str, datetime]:
    """Return what the source shows, in words as well, and when it was asked."""
    asked_at, sending, told = clock.now(), False, ""
    try:
        hypervisor = _hypervisor(run.host)
        progress = hypervisor.progress(run.vm.uuid, deadline=QUESTION_S)
        if progress is not None:
            sending, told = True, f"sent to {progress.percent // 10 * 10} %"
        look: Look = own_look(run.host, hypervisor, QUESTION_S)
    except HypervisorError:
        return There.SILENT, f"{run.host.name} gives no answer", asked_at
    return there_of(look.guest(run.vm.uuid), selectors.frozen(run), sending=sending), told, asked_at


def _noted(op: VmOperation, source: There, target: There, now: datetime) -> dict[str, Any]:
    """Note since when both have shown this, and when the source was first gone."""
    pair = f"{source} {target}"
    data = dict(op.data)
    if data.get("pair") != pair:
        data |= {"pair": pair, "since": now.isoformat()}
    if source is There.GONE:
        data.setdefault("gone_at", now.isoformat())
    else:
        data.pop("gone_at", None)
    return data


def _is_unwanted(op: VmOperation, now: datetime) -> bool:
    limit = float(op.data.get("timeout_s", 0))
    if op.data.get("cancel"):
        return True
    called_at = op.data.get("called_at")
    if not limit or not called_at:
        return False
    return now - datetime.fromisoformat(called_at) > timedelta(seconds=limit)


def _show(run: Run, target: Host, pair: Pair, told: str) -> None:
    now = clock.now()
    if pair.source is There.SENDS:
        text = f"from {run.host.name} to {target.name}: {told}"
        migrating.show(run, VmState.MIGRATING, text, now)
    elif pair.target is There.RUNS:
        migrating.show(run, VmState.UP, f"on {target.name}, coming from {run.host.name}", now)
    elif pair.source is There.RUNS:
        migrating.show(run, VmState.UP, f"on {run.host.name}", now)
    else:
        text = f"it was on its way from {run.host.name} to {target.name}"
        migrating.show(run, VmState.UNKNOWN, text, now)


def _gone(run: Run, target: Host, source: There, asked_at: datetime) -> Evidence:
    return Evidence(
        kind=ProofKind.MIGRATED,
        at=asked_at,
        text=f"{run.host.name} holds it no more, {target.name} goes on with it",
        details={"source": str(source)},
    )


def _why_it_stays(op: VmOperation, run: Run, source: There) -> str:
    if op.data.get("refused"):
        return str(op.data["refused"])
    if op.data.get("cancelled"):
        return "cancelled: it stays where it was"
    if source is There.RUNS:
        return f"{run.host.name} still runs it, and sends it no more"
    return f"it did not arrive; {run.host.name} tells what has become of it"


def _landing(op: VmOperation, run: Run) -> None:
    """The target alone may hold it now: mark its copy anew, or take away what never ran."""
    now = clock.now()
    after = Run.objects.select_related("vm", "host").filter(vm=run.vm_id, ended_at__isnull=True)
    new = after.filter(host=op.data["to"], generation=run.generation + 1).first()
    if new is None:
        work.finish(op, now, OperationState.DONE, "its run is over")
        return
    hypervisor = _hypervisor(new.host)
    try:
        guest = own_look(new.host, hypervisor, QUESTION_S).guest(new.vm.uuid)
        shown = there_of(guest, selectors.frozen(new))
        half = never_ran_there(shown, source_is_off=_is_off(run))
        if half:
            if not work.is_mine(op, clock.now()):
                return
            with suppress(NoSuchGuest):
                hypervisor.destroy(new.vm.uuid, deadline=QUESTION_S)
            hypervisor.undefine(new.vm.uuid, deadline=QUESTION_S)
    except HypervisorError as error:
        work.wait(op, clock.now(), POLL_S, f"{new.host.name}: {error}", step="landing")
        return
    if half:
        told = f"{run.host.name} is proven off, and {new.host.name} had not got the whole of it"
        evidence = Evidence(ProofKind.DESTROYED_BY_US, clock.now(), told, EndReason.HOST_LOST)
        migrating.never_arrived(op, new, evidence, now=clock.now())
        return
    text = f"{new.host.name} runs it" if shown is There.RUNS else f"{new.host.name} tells its end"
    migrating.landed(op, new, text, now=clock.now())


def _is_off(run: Run) -> bool:
    """Whether a proof about the whole source ended the run there, and not its own list."""
    return run.proof is not None and run.proof.kind in HOST_PROOFS


_STEPS = {
    "check": _check,
    "call": _call,
    "watch": _watch,
    "cancel": stop_sending,
    "clean": clean,
    "end_source": end_source,
    "broken": end_source,
}
