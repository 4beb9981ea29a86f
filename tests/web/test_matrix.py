"""The authorisation matrix of the pages and of the live channel, against ``matrix.py``."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from portal.core.models import Role, RoleBinding, User
from portal.core.permissions import RANK
from tests.api.conftest import Centre
from tests.api.full import Full, full
from tests.api.test_matrix import CALLERS, Caller, bare, names, places
from tests.web.matrix import TABLE
from tests.web.test_live import listener, push, run, session_of

__all__ = ["full"]

#: Signed in by a browser's session: tokens open no page.
PEOPLE = [caller for caller in CALLERS if not caller.token]
ROWS = [line.split() for line in TABLE.splitlines() if line.strip()]


def pages(patterns: Any = None, prefix: str = "/") -> set[str]:
    """Return the address of every page, its parameters as ``{}``; the API has its own table."""
    found = set()
    for item in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + re.sub(r"\(\?P<\w+>[^()]*\)|<[^>]+>", "{}", str(item.pattern)).strip("^$")
        if path == "/api/v1/":
            continue
        if isinstance(item, URLResolver):
            found |= pages(item.url_patterns, path)
        elif isinstance(item, URLPattern):
            found.add(path)
    return found


#: Addresses that take a word instead of an object: the row names one of many.
WORDS = {
    "/parts/hosts/": "/parts/{}/",
    "/simulator/power_cut_with_heartbeat/": "/simulator/{}/",
}


def test_every_page_has_a_row() -> None:
    known = {WORDS.get(row[1], bare(row[1])) for row in ROWS}
    assert pages() - known == set(), "pages without a row in tests/web/matrix.py"
    assert known - pages() == set(), "rows without a page"


def person(caller: Caller, centre: Centre) -> User:
    """Return somebody with the caller's role."""
    user = User.objects.create(username=caller.name.replace(" ", "-"))
    if caller.role:
        kind, pk = places(centre)[caller.place]
        RoleBinding.objects.create(user=user, role=caller.role, scope_type=kind, scope_id=pk)
    return user


def expected(row: list[str], caller: Caller | None) -> tuple[int, ...]:
    """Return the answers that the table allows."""
    _, _, needs, scopes, answers = row
    status = answers.split(",")[-1 if caller else 0]
    if needs == "public" or (needs == "signed-in" and caller):
        return (int(status),)
    if caller is None:
        return (302,)
    if caller.role is None:
        return (403,)
    enough = RANK[caller.role] >= RANK[Role(needs)]
    may = enough and (scopes == "any" or caller.place in scopes)
    return (int(status),) if may else (403, 404)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:2]))
def test_the_table_of_pages_holds(row: list[str], full: Full) -> None:
    method, path = row[0].lower(), row[1].format(**names(full))
    faults = []
    for caller in [None, *PEOPLE]:
        with transaction.atomic():
            client = Client()
            if caller:
                client.force_login(person(caller, full.centre), settings.AUTHENTICATION_BACKENDS[1])
            answer: Any = getattr(client, method)(path)
            transaction.set_rollback(True)
        if answer.status_code not in expected(row, caller):
            faults.append(f"{caller.name if caller else 'anonymous'}: {answer.status_code}")
        elif caller is None and row[2] != "public":
            assert answer["Location"].startswith("/sign-in/?next=")
    assert not faults, "\n".join([*row[:2], *faults])


#: Kind of change -> the object that it is about, and over what a role must be to hear of it.
HEARD = {
    "host": ("node1", "ECH"),
    "vm": ("db1", "ECHV"),
    "incident": ("incident", "ECH"),
    "alert": ("alert", "ECHV"),
    "event": ("event", "ECHV"),
    "user": ("ann", "E"),
}


@pytest.mark.django_db(transaction=True)
def test_the_live_channel_tells_each_what_the_lists_show(full: Full) -> None:
    known = names(full)
    users = [(caller, session_of(person(caller, full.centre))) for caller in PEOPLE]
    nobody = session_of(None)
    faults: list[str] = []

    async def listen(caller: Caller, session: SessionBase) -> None:
        line = listener(session)
        if not await line.connect():
            if caller.role:
                faults.append(f"{caller.name}: turned away")
            return
        for kind, (name, _) in HEARD.items():
            await push(kind, int(known[name]))
        await push("alert", 0)  # heard by everybody: something always comes
        told = {str(change["type"]) for change in (await line.hear())["changes"] if change["id"]}
        should = {kind for kind, (_, scopes) in HEARD.items() if caller.place in scopes}
        if told != should or not caller.role:
            faults.append(f"{caller.name}: heard {sorted(told)}, should {sorted(should)}")
        await line.leave()

    async def work() -> None:
        assert not await listener(nobody).connect()
        for caller, session in users:
            await listen(caller, session)

    run(work)
    assert not faults, "\n".join(faults)
