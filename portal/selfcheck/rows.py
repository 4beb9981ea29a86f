"""What the rows tell: who is at work, what is late, what is not protected, who must act."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Count, Q

from fencing.domain.facts import Identity
from fencing.models import ClusterCapacity, FenceOperation, HaResource, PowerController
from hosts.domain.states import Wanted
from hosts.models import Cluster, ClusterMode, Engine, EngineLease, Host, HostOperation
from portal.core.models import OPEN_STATES, Event, Operation, Role, User
from portal.core.services import broken_seal
from portal.lib.ha.owners import is_deaf
from portal.lib.ha.states import HaState
from portal.selfcheck.words import Check, bad, ok, some, warn
from vms.models import Run, Vm, VmOperation

#: A sweep runs every second; this much silence means that nobody sweeps.
_SILENT = timedelta(seconds=10)
#: What is due is done at once; so late means that nobody does it.
_LATE = timedelta(seconds=30)
_CAPACITY_OLD = timedelta(minutes=5)
#: So many of the newest events are verified here; a command verifies all.
SEALS = 1000


def engines(now: datetime) -> Check:
    """Whether every engine lives, and hears the hosts."""
    rows = list(Engine.objects.order_by("name"))
    silent = [
        f"{row.name} ({(now - row.beat_at).total_seconds():.0f} s)"
        for row in rows
        if now - row.beat_at > _SILENT
    ]
    cure = "Look at its worker “poll” and at beat: manage.py up starts both, and so do the units."
    if not rows:
        return bad("engines", "no engine has ever started", cure)
    if silent:
        text = f"no sign of life: {some(silent)}"
        alive = len(silent) < len(rows)
        return warn("engines", text, cure) if alive else bad("engines", text, cure)
    deaf = [row.name for row in rows if is_deaf(row.deaf_since, now)]
    if deaf:
        text = f"hosts answer others and not {some(deaf)}"
        return warn("engines", text, "Mend its network: until then the others do its work.")
    return ok("engines", f"{some([row.name for row in rows])} live")


def beat(now: datetime) -> Check:
    """Whether a process holds the right to beat."""
    lease = EngineLease.objects.filter(name="beat").first()
    if lease is None or lease.expires_at < now:
        return bad("beat", "nobody beats: nothing that was missed is found", "Start “beat”.")
    return ok("beat", "one process beats")


def poll_worker(now: datetime) -> Check:
    """Whether hosts are looked at when they are due."""
    late = list(Host.objects.filter(look_due_at__lt=now - _LATE).values_list("name", flat=True))
    if late:
        text = f"not looked at for more than {_LATE.seconds} s: {some(late)}"
        return bad("poll_worker", text, "Look at the worker “poll” of the engines, and at Redis.")
    return ok("poll_worker", "every host is looked at in time")


def _overdue(name: str, worker: str, now: datetime, *models: type[Operation]) -> Check:
    late = [
        f"{row.kind} of {row.requested_at:%Y-%m-%d %H:%M:%S} UTC"
        for model in models
        for row in model._default_manager.filter(
            state__in=OPEN_STATES, due_at__lt=now - _LATE
        ).order_by("due_at")[:10]
    ]
    if late:
        text = f"overdue for more than {_LATE.seconds} s: {some(late)}"
        return bad(name, text, f"Look at the worker “{worker}” of the engines, and at Redis.")
    return ok(name, f"no work for “{worker}” is overdue")


def ha_worker(now: datetime) -> Check:
    """Whether work on VMs is done when it is due."""
    return _overdue("ha_worker", "ha", now, VmOperation, HostOperation)


def fence_worker(now: datetime) -> Check:
    """Whether work on power is done when it is due."""
    return _overdue("fence_worker", "fence", now, FenceOperation)


def default_worker(now: datetime) -> Check:
    """Whether what can wait is done at all."""
    used = Cluster.objects.filter(hosts__isnull=False).distinct()
    fresh = ClusterCapacity.objects.filter(checked_at__gt=now - _CAPACITY_OLD).values("cluster")
    old = list(used.exclude(pk__in=fresh).values_list("name", flat=True))
    if old:
        text = f"what may be lost was not worked out lately for {some(old)}"
        return warn("default_worker", text, "Look at the worker “default” of the engines.")
    return ok("default_worker", "what each cluster can lose is known")


def events(now: datetime) -> Check:
    """Whether the newest events are as they were written, and none is of the future."""
    broken = broken_seal(last=SEALS)
    if broken is not None:
        text = f"the seal of event {broken} does not fit: somebody has changed the history"
        cure = "Restore the database, or find out who wrote to it; manage.py verify-events"
        return bad("events", text, cure)
    newest = Event.objects.order_by("-pk").values_list("at", flat=True).first()
    if newest is not None and newest - now > timedelta(seconds=5):
        text = f"the newest event is of {newest:%Y-%m-%d %H:%M:%S} UTC: the clock went back"
        return bad("events", text, "Correct the database machine's clock.")
    return ok("events", f"the newest {SEALS} events are sealed; manage.py verify-events reads all")


def bmcs(now: datetime) -> Check:
    """Whether each host that shall run VMs has a BMC that proves what it says."""
    wrong: list[str] = []
    ways = PowerController.objects.defer("password").filter(host__wanted=Wanted.ACTIVE)
    columns = ("host__name", "trusted", "identity", "problem")
    for host_name, trusted, identity, problem in ways.values_list(*columns):
        if not trusted:
            wrong.append(f"{host_name} (distrusted)")
        elif problem or identity != Identity.PROVEN:
            wrong.append(f"{host_name} ({(problem or identity).replace('_', ' ')})")
    without = Host.objects.filter(wanted=Wanted.ACTIVE, controllers__isnull=True)
    wrong += [f"{name} (none)" for name in without.values_list("name", flat=True)]
    if wrong:
        text = f"no BMC to rely on: {some(wrong)}; if one dies, a person is asked"
        return warn("bmcs", text, "Add or correct its BMC, and test it while the host answers.")
    if not Host.objects.filter(wanted=Wanted.ACTIVE).exists():
        return ok("bmcs", "no host yet that shall run VMs")
    return ok("bmcs", "every host has a BMC that answers and is proven to be its own")


def ha_vms(now: datetime) -> Check:
    """Whether VMs under HA run where HA can do something for them."""
    helpless = (HaState.DISABLED, HaState.INELIGIBLE)
    there = HaResource.objects.filter(state__in=helpless, host__wanted=Wanted.ACTIVE).values("host")
    open_there = Run.objects.filter(ended_at__isnull=True, host__in=there).values("vm")
    rows = Vm.objects.filter(ha=True).filter(Q(pk__in=open_there) | Q(quarantined=True))
    names = list(rows.values_list("name", flat=True))
    if names:
        text = f"under HA, and not protected: {some(names)}"
        cure = "Enable HA for its host, or release its quarantine."
        return warn("ha_vms", text, cure)
    return ok("ha_vms", "every HA VM runs where HA protects it")


def observing(now: datetime) -> Check:
    """Whether HA acts everywhere; in a cluster without hosts it will be forgotten."""
    hosts = Count("hosts", filter=Q(hosts__removed_at__isnull=True))
    rows = Cluster.objects.annotate(count=hosts).values_list("name", "mode", "count")
    names = [
        name if count else f"{name} (no hosts yet)"
        for name, mode, count in rows
        if mode == ClusterMode.OBSERVE
    ]
    if names:
        text = f"HA only observes in {some(names)}"
        return warn("observing", text, "Arm it when what it says makes sense to you.")
    return ok("observing", "HA acts in every cluster" if rows else "no cluster yet")


def passwords(now: datetime) -> Check:
    """Whether an administrator still has the password that was handed out."""
    admins = Q(is_superuser=True) | Q(roles__role=Role.ADMIN)
    rows = User.objects.filter(admins, is_active=True, must_change_password=True).distinct()
    names = list(rows.values_list("username", flat=True))
    if names:
        text = f"administrators with a one-time password: {some(names)}"
        return warn("passwords", text, "Let them sign in and choose their own.")
    return ok("passwords", "every administrator has chosen a password")


def others(now: datetime) -> Check:
    """Whether the hosts run nothing but what the portal looks after."""
    rows = Host.objects.exclude(others=[]).order_by("name").values_list("name", "others")
    names = [f"{guest['name']} on {host}" for host, guests in rows for guest in guests]
    if names:
        text = f"not looked after, so not restarted: {some(names)}"
        return warn("others", text, "Take them over on the page of their host, or leave them be.")
    return ok("others", "every guest of every host is looked after")


CHECKS: dict[str, Callable[[datetime], Check]] = {
    "engines": engines,
    "beat": beat,
    "poll_worker": poll_worker,
    "ha_worker": ha_worker,
    "fence_worker": fence_worker,
    "default_worker": default_worker,
    "events": events,
    "bmcs": bmcs,
    "ha_vms": ha_vms,
    "observing": observing,
    "passwords": passwords,
    "others": others,
}
