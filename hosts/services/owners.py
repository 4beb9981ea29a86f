"""Which engine looks at which host: the rows of ``portal.lib.ha.owners``."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hosts.models import Host
from hosts.selectors import asked_in_vain, roster
from hosts.services import engines
from portal.lib import node
from portal.lib.ha import owners
from portal.lib.queue import wake

LOOK = "vms.look"


def assign(now: datetime) -> None:
    """Give every host to the engine whose it is; a silent one changes hands at its own looks."""
    members = roster(now)
    if len(members) == 1:
        mine = members[0].name
        if Host.objects.exclude(owner=mine).exists():
            Host.objects.exclude(owner=mine).update(owner=mine)
        return
    live = {item.name for item in members}
    for pk, owner, missed, missed_by in Host.objects.values_list(
        "pk", "owner", "missed", "missed_by"
    ):
        if missed and owner in live:
            continue
        new = owners.home(pk, members, asked_in_vain(missed_by), now)
        if new != owner and Host.objects.filter(pk=pk, owner=owner).update(owner=new):
            wake(LOOK, pk, to=new)


@dataclass(frozen=True, slots=True)
class Miss:
    """What an unanswered look of this engine changes, and whether nobody is left to ask."""

    changes: dict[str, Any]
    silent_to_all: bool


def after_miss(host: Host, asked_at: datetime, now: datetime) -> Miss:
    """Hand a host that has not answered on to the next engine."""
    members = roster(now)
    live = {item.name for item in members}
    before = asked_in_vain(host.missed_by)
    missed = {name: at for name, at in before.items() if name in live}
    missed[node.this().name] = asked_at
    changes: dict[str, Any] = {
        "missed_by": {name: at.isoformat() for name, at in missed.items()},
        "owner": owners.next_to_ask(host.pk, members, missed, host.last_seen),
    }
    return Miss(changes, owners.is_silent_to_all(members, missed, host.last_seen))


def after_answer(host: Host, now: datetime) -> dict[str, Any]:
    """Return what changes when a host answers that somebody asked in vain lately.

    Whoever did is contradicted; its miss is remembered, so that it does not get the host
    back at once.
    """
    if not host.missed_by:
        return {}
    mine, missed = node.this().name, asked_in_vain(host.missed_by)
    if mine in missed:
        # Nobody has heard anybody since: it was the portal's own network, not these hosts'.
        blind = not Host.objects.filter(last_seen__gt=missed[mine]).exists()
        engines.heard(now, regained=blind)
    wrong = owners.wrong(missed, host.last_seen, mine)
    if wrong:
        engines.contradicted(wrong, now)
    kept = {name for name, at in missed.items() if name != mine and now - at < owners.AWAY}
    return {"missed_by": {name: at for name, at in host.missed_by.items() if name in kept}}


def is_mine(host: Host) -> bool:
    """Whether this engine looks at the host, or nobody has been named yet."""
    return host.owner in ("", node.this().name)
