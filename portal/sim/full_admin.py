"""What a person does through the portal, in the full depth."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from fencing.domain.departing import Departure
from fencing.models import PowerController
from fencing.services import admission, confirmations, departures, kdump, restored
from fencing.services.drills import want_host
from fencing.services.inventory import NotAllowed, switch_power
from fencing.services.migrations import migrate_vm
from fencing.services.power import change_controller
from fencing.services.starts import start_vm
from hosts.domain.states import Wanted
from hosts.models import Cluster, ClusterMode, Host
from hosts.services.inventory import InUse, set_mode
from portal.core.models import User
from vms.models import Vm
from vms.services import leasing, locks, removing
from vms.services.inventory import NotNow, act, edit

BY = "alice"


def _want(now: datetime, host: str, wanted: Wanted) -> None:
    with suppress(NotAllowed):
        want_host(Host.objects.get(name=host), wanted, actor=BY, now=now)


def _maintenance(now: datetime, host: str) -> None:
    _want(now, host, Wanted.MAINTENANCE)


def _activate(now: datetime, host: str) -> None:
    _want(now, host, Wanted.ACTIVE)


def _depart(now: datetime, host: str, what: Departure) -> None:
    with suppress(NotAllowed):
        departures.ask(Host.objects.get(name=host), what, actor=BY, now=now)


def _shutdown_host(now: datetime, host: str) -> None:
    _depart(now, host, Departure.SHUTDOWN)


def _reboot_host(now: datetime, host: str) -> None:
    _depart(now, host, Departure.REBOOT)


def _power_on(now: datetime, host: str) -> None:
    with suppress(NotAllowed):
        switch_power(Host.objects.get(name=host), "on", actor=BY, now=now)


def _confirm(now: datetime, host: str) -> None:
    confirmations.request(
        Host.objects.get(name=host),
        User.objects.get(),
        typed_name=host,
        reason="seen with own eyes",
        override=False,
        now=now,
    )


def _start(now: datetime, vm: str) -> None:
    with suppress(NotNow):
        start_vm(Vm.objects.get(name=vm), None, actor=BY, now=now)


def _stop(now: datetime, vm: str, kind: str = "stop") -> None:
    with suppress(NotNow):
        act(Vm.objects.get(name=vm), kind, actor=BY, now=now)


def _shutdown(now: datetime, vm: str) -> None:
    _stop(now, vm, "shutdown")


def _arm(now: datetime) -> None:
    set_mode(Cluster.objects.get(), ClusterMode.ARMED, actor=BY, now=now)


def _observe(now: datetime, s: float = 0) -> None:
    until = now + timedelta(seconds=s) if s else None
    set_mode(Cluster.objects.get(), ClusterMode.OBSERVE, actor=BY, now=now, until=until)


def _set_policy(now: datetime, policy: dict[str, object]) -> None:
    for cluster in Cluster.objects.all():
        cluster.policy = {**cluster.policy, **policy}
        cluster.save(update_fields=["policy"])


def _accept_database(now: datetime) -> None:
    with suppress(NotAllowed):
        restored.accept(Cluster.objects.get(), actor=BY, now=now)


def _trust(now: datetime, host: str) -> None:
    """Somebody looks at the controller and saves it anew: it is tested from scratch."""
    for controller in PowerController.objects.filter(host__name=host):
        change_controller(controller, now)


def _kdump(now: datetime, host: str, own_address: bool) -> None:
    """A crash kernel's message arrives."""
    kdump.heard(Host.objects.get(name=host).pk, own_address=own_address, now=now)


def _lock(now: datetime, vm: str, s: float) -> None:
    locks.lock(Vm.objects.get(name=vm), why="works on it", for_s=s or None, actor=BY, now=now)


def _unlock(now: datetime, vm: str) -> None:
    with suppress(NotNow):
        locks.unlock(Vm.objects.get(name=vm), actor=BY, now=now)


def _mark_disks(now: datetime, vm: str, why: str) -> None:
    edit(Vm.objects.get(name=vm), {"disks_illegal": why}, actor=BY, now=now)


def _suspend(now: datetime, vm: str) -> None:
    _stop(now, vm, "suspend")


def _resume(now: datetime, vm: str) -> None:
    _stop(now, vm, "resume")


def _remove_vm(now: datetime, vm: str) -> None:
    with suppress(InUse):
        removing.remove_vm(Vm.objects.get(name=vm), actor=BY, now=now)


def _ha(now: datetime, vm: str, **changes: Any) -> None:
    """Change whether and how HA protects a VM."""
    named = {"enabled": "ha", "priority": "priority"}
    told = {named[key]: value for key, value in changes.items()}
    with suppress(NotNow):
        admission.edit_vm(Vm.objects.get(name=vm), told, actor=BY, now=now)


def _migrate(now: datetime, vm: str, to: str) -> None:
    with suppress(NotNow):
        migrate_vm(Vm.objects.get(name=vm), Host.objects.get(name=to), actor=BY, now=now)


def _lease(change: Callable[..., object]) -> Callable[..., None]:
    def act(now: datetime, vm: str, domain: str) -> None:
        with suppress(NotNow, leasing.BadLease):
            change(Vm.objects.get(name=vm), domain, actor=BY, now=now)

    return act


WORDS: dict[str, Callable[..., None]] = {
    "lease_add": _lease(leasing.request_add),
    "lease_remove": _lease(leasing.request_remove),
    "lease_move": _lease(leasing.request_move),
    "confirm_rebooted": _confirm,
    "start": _start,
    "stop": _stop,
    "shutdown": _shutdown,
    "maintenance": _maintenance,
    "activate": _activate,
    "shutdown_host": _shutdown_host,
    "reboot_host": _reboot_host,
    "power_on": _power_on,
    "observe": _observe,
    "arm": _arm,
    "set_policy": _set_policy,
    "accept_database": _accept_database,
    "trust": _trust,
    "migrate": _migrate,
    "kdump": _kdump,
    "lock": _lock,
    "unlock": _unlock,
    "mark_disks": _mark_disks,
    "suspend": _suspend,
    "resume": _resume,
    "remove_vm": _remove_vm,
    "ha": _ha,
}
