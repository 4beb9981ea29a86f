"""The authorisation matrix: every endpoint by everybody, against the table in ``matrix.py``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from hosts.models import Cluster
from portal.core.models import ApiToken, Role, RoleBinding, User
from portal.core.permissions import RANK
from tests.api.conftest import API, Centre
from tests.api.full import Full, full, slug
from tests.api.matrix import BODIES, TABLE

__all__ = ["full"]

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    method: str
    path: str
    role: Role
    scopes: str
    status: int

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Caller:
    """Somebody with one role (none: a stranger) over ``place``; E C H V, or x for elsewhere."""

    name: str
    role: Role | None = None
    place: str = ""
    token: Role | None = None

    def may(self, row: Row) -> bool:
        """Whether the table lets them in."""
        if self.role is None:
            return False
        has = min(RANK[self.role], RANK[self.token or self.role])
        return has >= RANK[row.role] and (row.scopes == "any" or self.place in row.scopes)


def rows() -> list[Row]:
    """Read the table."""
    found = []
    for line in TABLE.splitlines():
        if line.strip():
            method, path, role, scopes, status = line.split()
            found.append(Row(method, path, Role(role), scopes, int(status)))
    return found


def endpoints(patterns: Any = None, prefix: str = "") -> Iterator[str]:
    """Yield method and address of everything under the API, its parameters as ``{}``."""
    for item in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + re.sub(r"\(\?P<\w+>[^()]*\)|<[^>]+>", "{}", str(item.pattern)).strip("^$")
        if isinstance(item, URLResolver):
            yield from endpoints(item.url_patterns, path)
        elif isinstance(item, URLPattern) and path.startswith("api/v1/"):
            view: Any = item.callback
            methods = getattr(view, "actions", None) or [
                name for name in METHODS if hasattr(view.cls, name)
            ]
            for method in methods:
                yield f"{method.upper()} {path.removeprefix('api/v1/')}"


#: Addresses that take a word instead of an object: the row names one of many.
WORDS = {"scenarios/isolated_then_dies/": "scenarios/{}/"}


def bare(text: str) -> str:
    """Return an address with its names left out."""
    for word, place in WORDS.items():
        text = text.replace(word, place)
    return re.sub(r"\{\w+\}", "{}", text)


def test_every_endpoint_has_a_row() -> None:
    known = {bare(str(row)) for row in rows()}
    there = {name for name in endpoints() if not name.startswith("HEAD ")}
    assert there - known == set(), "endpoints without a row in tests/api/matrix.py"
    assert known - there == set(), "rows without an endpoint"


CALLERS = [
    Caller("stranger"),
    *[Caller(f"{role} of everything", role, "E") for role in Role],
    *[Caller(f"{role} of its {place}", role, place) for place in "CHV" for role in Role],
    *[Caller(f"admin of another {place}", Role.ADMIN, place.lower()) for place in "CHV"],
    *[Caller(f"admin with a token of {role}", Role.ADMIN, "E", role) for role in Role],
]


def places(centre: Centre) -> dict[str, tuple[str, int]]:
    """Return what a role can be over: the objects of the table, and others (small letters)."""
    return {
        "E": ("all", 0),
        "C": ("cluster", centre.cluster.pk),
        "H": ("host", centre.node1.pk),
        "V": ("vm", centre.db1.pk),
        "c": ("cluster", centre.other.pk),
        "h": ("host", centre.far1.pk),
        "v": ("vm", centre.idle1.pk),
    }


def client_of(caller: Caller, centre: Centre) -> APIClient:
    """Return a client that speaks for a caller, whose role is made for the occasion."""
    user = User.objects.create(username=caller.name.replace(" ", "-"))
    if caller.role:
        kind, pk = places(centre)[caller.place]
        RoleBinding.objects.create(user=user, role=caller.role, scope_type=kind, scope_id=pk)
    client = APIClient()
    if caller.token:
        _, secret = ApiToken.objects.create(user=user, scope=caller.token)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    else:
        client.force_authenticate(user)
    return client


def names(full: Full) -> dict[str, str]:
    """Return what the names in the table stand for."""
    objects = vars(full.centre) | vars(full)
    found = {name: str(row.pk) for name, row in objects.items() if hasattr(row, "pk")}
    found |= {name: slug(getattr(full, name)) for name in ("host_op", "vm_op", "fence_op")}
    return found | {"token": full.token.token_key, "ann": str(full.binding.user_id)}


def send(client: APIClient, row: Row, known: dict[str, str]) -> Any:
    """Send what a row says."""
    body = {
        key: value.format(**known) if isinstance(value, str) else value
        for key, value in BODIES.get(str(row), {}).items()
    }
    ask = getattr(client, row.method.lower())
    where = f"{API}/{row.path.format(**known)}"
    return ask(where, body or None, format="json", headers={"If-Match": "*"})


@pytest.mark.parametrize("row", rows(), ids=str)
def test_the_table_holds(row: Row, full: Full) -> None:
    Cluster.objects.filter(pk=full.centre.cluster.pk).update(policy={})
    known = names(full)
    faults = []
    for caller in [None, *CALLERS]:
        with transaction.atomic():
            client = client_of(caller, full.centre) if caller else APIClient()
            answer = send(client, row, known)
            told = wrong(row, caller, answer, known)
            transaction.set_rollback(True)
        if told:
            who = caller.name if caller else "anonymous"
            faults.append(f"{who}: {told}: {getattr(answer, 'content', b'')[:200]!r}")
    assert not faults, "\n".join([str(row), *faults])


def wrong(row: Row, caller: Caller | None, answer: Any, known: dict[str, str]) -> str:
    """Return how an answer differs from the table."""
    status = answer.status_code
    if caller is None:
        return "" if status == 401 else f"{status} instead of 401"
    if row.method == "GET" and row.path in LISTED and caller.role:
        # A list opens to anybody with a role, and shows what the role covers.
        if status != 200:
            return f"{status} instead of 200"
        shown = [str(item["id"]) for item in answer.json()["results"]]
        is_there = known[LISTED[row.path]] in shown
        return "" if is_there == caller.may(row) else f"shown: {is_there}"
    if caller.may(row):
        return "" if status == row.status else f"{status} instead of {row.status}"
    if status == 400 and "object does not exist" in answer.json()["detail"]:
        return ""  # what the body names is hidden from the caller: told as if it were not there
    return "" if status in (403, 404) else f"{status} instead of 403 or 404"


#: List -> the object in it that the row of its detail is about.
LISTED = {
    "clusters/": "cluster",
    "hosts/": "node1",
    "power-controllers/": "controller",
    "vms/": "db1",
    "ha-resources/": "resource",
    "runs/": "run",
    "proofs/": "proof",
    "incidents/": "incident",
    "alerts/": "alert",
    "events/": "event",
    "operations/": "vm_op",
    "affinity-rules/": "rule",
}
