"""Entering power controllers, switching protection on and off, and a person's power wishes."""

from datetime import datetime
from typing import Any

from django.db import transaction

from fencing.domain.departing import Departure
from fencing.models import FenceOperation, HaResource, PowerController
from fencing.selectors import departure_is_open, drill_is_open
from fencing.services import ha_switches, power
from fencing.services.ha import move_ha
from fencing.services.incidents import open_incident
from hosts.domain.states import ANSWERING, Wanted
from hosts.models import Host, HostOperation
from hosts.services.inventory import LOOK, note_done
from hosts.services.moves import want
from portal.core.edits import Stale
from portal.core.services import record_event
from portal.lib.ha.states import HaEvent, HaState
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit


class NotAllowed(Exception):
    """A power wish that is refused; the text says why, ``cure`` what to do."""

    def __init__(self, text: str, cure: str) -> None:
        super().__init__(text)
        self.cure = cure


@transaction.atomic
def protect(host: Host, now: datetime) -> None:
    """Give a new host its HA state."""
    off = ha_switches.off_scopes() & {ha_switches.EVERYTHING, host.cluster_id}
    state = HaState.DISABLED if off else HaState.AVAILABLE
    HaResource.objects.get_or_create(host=host, defaults={"state": state, "since": now})


@transaction.atomic
def set_ha(host: Host, *, on: bool, actor: str, now: datetime) -> HostOperation:
    """Let HA look after a host, or leave it alone."""
    protect(host, now)
    row = HaResource.objects.get(host=host)
    still_off = ha_switches.set_resource(row, on=on, actor=actor, now=now)
    kind, text = ("enable-ha", "enabled") if on else ("disable-ha", "disabled")
    text = f"HA is {text} for {host.name}"
    if still_off:
        text = f"{text}, and will act once its cluster's switch allows it: {still_off}"
    return note_done(host, kind, text, actor=actor, now=now)


@transaction.atomic
def add_controller(fields: dict[str, Any], *, actor: str, now: datetime) -> PowerController:
    """Enter a way to a host's power, and have it tested."""
    controller = PowerController.objects.create(**fields)
    _note(controller, "bmc.added", "was added: it is tested", actor, now)
    power.ask("check", controller.host_id, now=now, by=actor, why="it was added")
    return controller


@transaction.atomic
def edit_controller(
    row: PowerController, changes: dict[str, Any], *, actor: str, now: datetime
) -> None:
    """Change how a controller is reached; raises :class:`Stale` when it was changed meanwhile."""
    current = PowerController.objects.defer("password").select_for_update().get(pk=row.pk)
    if current.version != row.version:
        raise Stale(f"{row} was changed meanwhile")
    power.change_controller(current, now, **changes)
    names = ", ".join(sorted(changes)) or "nothing"
    _note(current, "bmc.edited", f"was changed by {actor}: {names}", actor, now)


@transaction.atomic
def remove_controller(row: PowerController, *, actor: str, now: datetime) -> None:
    """Remove a way to a host's power; its host may no longer be fenced by it."""
    _note(row, "bmc.removed", f"was removed by {actor}", actor, now)
    row.delete()


def _note(row: PowerController, kind: str, words: str, actor: str, now: datetime) -> None:
    text = f"power controller {row} of {row.host.name} {words}"
    record_event(kind, text, now=now, actor=actor, host=row.host_id, cluster=row.host.cluster_id)
    announce_on_commit("host", row.host_id, "power")


def _wanted_before(host: Host) -> Wanted:
    """Return what was wanted of a host before it was shut down."""
    last = (
        FenceOperation.objects.filter(host=host, kind__in=list(Departure)).order_by("-pk").first()
    )
    return Wanted(last.data.get("after", Wanted.ACTIVE)) if last else Wanted.ACTIVE


def _may_be_switched(host: Host, wish: str) -> None:
    """Raise :class:`NotAllowed` where somebody else switches its power, or it makes no sense."""
    Host.objects.select_for_update().get(pk=host.pk)  # no drill begins meanwhile
    if drill_is_open(host.pk):
        text = f"a fire drill is under way on {host.name}, which switches its power itself"
        raise NotAllowed(text, "Wait until it has ended.")
    if departure_is_open(host.pk):
        text = f"{host.name} is being shut down or rebooted, which switches its power itself"
        raise NotAllowed(text, "Cancel that operation, or wait until it has ended.")
    if wish == "off" and host.is_self:
        raise NotAllowed("this portal runs on that host", "Use another engine, or the machine.")
    if wish == "on" and host.status in ANSWERING:
        raise NotAllowed(f"{host.name} is {host.status}: its power is on", "Nothing to do.")


@transaction.atomic
def switch_power(host: Host, wish: str, *, actor: str, now: datetime) -> FenceOperation:
    """Ask a host's BMC (``status``), fence it (``off``) or switch it on, at a person's word.

    *Off* is a fence: it ends with a proof, which restarts the HA VMs elsewhere.
    Raises :class:`NotAllowed`, having changed nothing.
    """
    if not host.controllers.exists():
        text = f"{host.name} has no power controller"
        raise NotAllowed(text, "Add its BMC under power controllers first.")
    if wish == "status":
        return power.ask("check", host.pk, now=now, by=actor, why=f"asked by {actor}")
    _may_be_switched(host, wish)
    kind = "fence" if wish == "off" else "power_on"
    if kind == "fence":
        open_incident(host.pk, now, title=f"{host.name} is fenced at the word of {actor}")
    record_event(
        f"power.{wish}_asked",
        f"{actor} asks to switch {host.name} {wish}",
        now=now,
        actor=actor,
        host=host.pk,
        cluster=host.cluster_id,
    )
    if kind == "fence":
        move_ha(host.pk, HaEvent.FENCE, why=f"asked by {actor}", rule="by hand", now=now)
    elif host.wanted == Wanted.DOWN:
        want(host.pk, _wanted_before(host), actor=actor, now=now)
        wake_on_commit(LOOK, host.pk)
    return power.ask(kind, host.pk, now=now, by=actor, why=f"asked by {actor}", rule="by hand")
