"""Which changes each open page may know of: the same scopes as over the REST API."""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.db.models import Model, Q

from fencing.models import Alert, Incident
from fencing.permissions import TABLES, by_numbers, events_in, incidents_in, visible
from hosts.models import Host
from hosts.permissions import hosts_in
from portal.accounts.sessions import held_back, people_of
from portal.core.models import Event, Role
from portal.core.permissions import Scopes, scopes_of_many
from vms.models import AffinityRule, Vm
from vms.permissions import rules_in, vms_in

#: Kind of change -> table and the filter for what certain scopes cover.
SIEVES: dict[str, tuple[type[Model], Any]] = {
    "host": (Host, hosts_in),
    "vm": (Vm, vms_in),
    "incident": (Incident, incidents_in),
    "alert": (Alert, by_numbers),
    "event": (Event, events_in),
    "affinity-rule": (AffinityRule, rules_in),
}
#: Kinds that only administrators of everything hear of, as over the REST API.
FOR_ADMINS = frozenset({"notification-target", "delivery"})
Change = dict[str, str | int]
#: Which session's page asks, and about which changes; which of them it may know of, if any.
Question = tuple[str, list[Change]]
Answer = list[Change] | None


def may_see_anything(session_key: str) -> bool:
    """Whether the session is somebody's who may be shown something now."""
    return bool(_scopes({session_key}, Role.VIEWER).get(session_key))


def _scopes(keys: set[str], role: Role) -> dict[str, Scopes]:
    """Return by session what its person has ``role`` over; not those whose page must be done."""
    people = people_of(keys)
    held = held_back(people.values())
    found = scopes_of_many({user.pk for user in people.values()}, role)
    return {
        key: found[user.pk]
        for key, user in people.items()
        if user.pk in found and user.pk not in held
    }


class Sieve:
    """Tells many open pages at once what each may know of.

    One change wakes every page.  Were each to ask the database by itself, the last of a
    few hundred would hear of it seconds later; so those that wait are answered together.
    """

    def __init__(self) -> None:
        self._asked: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def allowed(self, session_key: str, changes: list[Change]) -> Answer:
        """Return the changes that a person may know of now; None when they may know nothing."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append(((session_key, changes), answer))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer())
        return await answer

    async def _answer(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                told = await database_sync_to_async(judge)([question for question, _ in asked])
            except Exception as error:  # noqa: BLE001 - each page that waits gets to know it
                told = [error] * len(asked)
            for (_, answer), found in zip(asked, told, strict=True):
                _settle(answer, found)


def _settle(answer: "asyncio.Future[Answer]", found: Answer | Exception) -> None:
    if answer.done():
        return  # the page was closed meanwhile
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


#: Of each event loop: a server has one.
_sieves: WeakKeyDictionary[asyncio.AbstractEventLoop, Sieve] = WeakKeyDictionary()


def sieve_here() -> Sieve:
    return _sieves.setdefault(asyncio.get_running_loop(), Sieve())


def judge(asked: list[Question]) -> list[Answer]:
    """Return an answer to each question; people with the same scopes share their queries."""
    keys = {key for key, _ in asked}
    scopes = _scopes(keys, Role.VIEWER)
    in_charge = _in_charge(asked, keys)
    ids: dict[tuple[Scopes, str], set[Any]] = {}
    for key, changes in asked:
        mine = scopes.get(key)
        if mine and not mine.everything:
            for change in changes:
                ids.setdefault((mine, str(change["type"])), set()).add(change["id"])
    seen = {(mine, kind): _visible_ids(kind, pks, mine) for (mine, kind), pks in ids.items()}
    return [
        _answer(changes if key in in_charge else _for_all(changes), scopes.get(key), seen)
        for key, changes in asked
    ]


def _in_charge(asked: list[Question], keys: set[str]) -> set[str]:
    """Return whose sessions may hear of what is for administrators, if anybody asks."""
    if not any(change["type"] in FOR_ADMINS for _, changes in asked for change in changes):
        return set()
    return {key for key, mine in _scopes(keys, Role.ADMIN).items() if mine.everything}


def _for_all(changes: list[Change]) -> list[Change]:
    return [change for change in changes if change["type"] not in FOR_ADMINS]


def _answer(
    changes: list[Change], scopes: Scopes | None, seen: dict[tuple[Scopes, str], set[Any]]
) -> Answer:
    if not scopes:
        return None
    if scopes.everything:
        return changes
    # Number 0 names no object: "look at the list again".
    return [
        change
        for change in changes
        if change["id"] == 0 or change["id"] in seen[scopes, str(change["type"])]
    ]


def _visible_ids(kind: str, ids: set[Any], scopes: Scopes) -> set[Any]:
    if kind == "operation":
        return {pk for prefix in TABLES for pk in _ids(visible(prefix, scopes), ids)}
    if kind == "cluster":
        return ids  # whether HA is armed is shown to everybody
    if kind not in SIEVES:
        return set()
    model, rows = SIEVES[kind]
    allowed: Q = rows(scopes)
    return _ids(model._default_manager.filter(allowed), ids)


def _ids(rows: Any, ids: set[Any]) -> set[Any]:
    return set(rows.filter(pk__in=ids).values_list("pk", flat=True))
