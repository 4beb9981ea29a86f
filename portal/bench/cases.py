"""What ``bench api`` asks for: every list of the API, and every page with a list.

A path may hold ``{cluster} {host} {vm} {incident}`` (ids from the middle of their
tables), ``{host_name} {vm_name}``, ``{cursor}`` (the middle of the events) and, for
each table, ``{last_hosts}``: the number of its list's last page.
"""

from collections.abc import Iterator
from dataclasses import dataclass

#: Milliseconds at the 95th percentile.
LIST_MS = 100.0
OVERVIEW_MS = 300.0
#: Rows of a page of every list, of the API and of the pages.
PAGE = 50


@dataclass(frozen=True, slots=True)
class Size:
    """How many of everything; history grows with the number of hosts."""

    hosts: int
    vms: int

    def __str__(self) -> str:
        return f"{self.hosts} hosts and {self.vms} VMs"

    @property
    def incidents(self) -> int:
        """Closed incidents; as many alerts were closed with them."""
        return self.hosts * 2

    @property
    def events(self) -> int:
        """What has happened so far."""
        return self.hosts * 50


@dataclass(frozen=True, slots=True)
class Case:
    """One GET: of an administrator of everything, or of a viewer of one cluster."""

    name: str
    path: str
    table: str
    limit_ms: float = LIST_MS
    narrow: bool = False

    @property
    def is_api(self) -> bool:
        """Whether it answers JSON to a token; else it is a page in a browser."""
        return self.path.startswith("/api/")

    def headers(self, people: dict[str, dict[str, str]]) -> dict[str, str]:
        """Return what says who asks: one of ``people``, by token or by session."""
        person = people["narrow" if self.narrow else "wide"]
        if self.is_api:
            return {"Authorization": f"Bearer {person['token']}"}
        return {"Cookie": person["cookie"]}


def _cases(kind: str, table: str, path: str, **queries: str) -> Iterator[Case]:
    """Yield a list's first page, again as a narrow viewer, and one case for each query."""
    name = f"{kind}-{table}"
    yield Case(name, path, table)
    if table not in FOR_ADMINS:
        yield Case(f"{name}-narrow", path, table, narrow=True)
    for what, query in queries.items():
        yield Case(f"{name}-{what}", f"{path}?{query}", table)


#: Each list of the API, and how it is narrowed, searched and ordered.
LISTS: dict[str, dict[str, str]] = {
    "clusters": {"filter": "mode=armed", "search": "search=cluster", "order": "ordering=-name"},
    "hosts": {
        "filter": "cluster={cluster}&status=up",
        "search": "search={host_name}",
        "order": "ordering=-last_seen",
    },
    "power-controllers": {
        "filter": "state=on",
        "search": "search={host_name}",
        "order": "ordering=-address",
    },
    "ha-resources": {
        "filter": "kind=host&state=available",
        "cluster": "cluster={cluster}",
        "search": "search={host_name}",
        "order": "ordering=-since",
    },
    "vms": {
        "filter": "cluster={cluster}&state=up",
        "host": "host={host}",
        "search": "search={vm_name}",
        "order": "ordering=-state_since",
    },
    "runs": {
        "filter": "open=true&host={host}",
        "search": "search={vm_name}",
        "order": "ordering=-started_at",
    },
    "proofs": {"filter": "kind=power_off", "search": "search=verified", "order": "ordering=-at"},
    "incidents": {
        "filter": "host={host}",
        "search": "search={host_name}",
        "order": "ordering=-closed_at",
    },
    "alerts": {
        "filter": "open=true",
        "search": "search=unreachable",
        "order": "ordering=-opened_at",
    },
    "events": {
        "late": "cursor={cursor}",
        "filter": "host={host}",
        "search": "search={vm_name}",
        "nothing": "search=nothing-is-called-so",
    },
    "affinity-rules": {"filter": "cluster={cluster}&kind=separate", "order": "ordering=-name"},
    "tokens": {"search": "search=token", "order": "ordering=-expiry"},
    "operations": {"filter": "state=open", "host": "host={host}", "vm": "vm={vm}"},
    "users": {"search": "search=a", "order": "ordering=-last_login"},
    "role-bindings": {"filter": "scope_type=cluster"},
    "notification-targets": {"order": "ordering=-name"},
    "deliveries": {"filter": "state=failed", "order": "ordering=-at"},
    "engines": {},
}
#: Lists for administrators of everything: nobody with a narrower role may open them.
FOR_ADMINS = frozenset({"users", "role-bindings", "notification-targets", "deliveries"})

#: Each page with a list, and how its URL narrows, searches and orders it.
PAGES: dict[str, dict[str, str]] = {
    "clusters": {},
    "hosts": {
        "late": "page={last_hosts}",
        "filter": "cluster={cluster}&status=up",
        "search": "search={host_name}",
        "order": "ordering=-last_seen",
    },
    "vms": {
        "late": "page={last_vms}",
        "filter": "cluster={cluster}&state=up",
        "host": "host={host}",
        "search": "search={vm_name}",
        "order": "ordering=-state_since",
    },
    "power-controllers": {"filter": "state=on", "search": "search={host_name}"},
    "incidents": {"late": "page={last_incidents}", "search": "search={host_name}"},
    "operations": {"late": "page={last_operations}", "filter": "state=open"},
    "events": {"filter": "host={host}", "search": "search={vm_name}"},
    "users": {},
}


def _api() -> Iterator[Case]:
    for table, queries in LISTS.items():
        late = {"late": f"page={{last_{table.replace('-', '_')}}}"}
        yield from _cases("list", table, f"/api/v1/{table}/", **late | queries)


def _pages() -> Iterator[Case]:
    yield Case("overview", "/", "vms", OVERVIEW_MS)
    yield Case("overview-narrow", "/", "vms", OVERVIEW_MS, narrow=True)
    for table, queries in PAGES.items():
        yield from _cases("page", table, f"/{table}/", **queries)
    yield Case("page-scenarios", "/simulator/", "scenarios")
    yield Case("page-scenarios-search", "/simulator/?search=storage", "scenarios")
    yield Case("page-scenario", "/simulator/isolated_then_dies/", "scenarios")
    for table in ("host", "vm", "cluster", "incident"):
        yield Case(f"page-{table}", f"/{table}s/{{{table}}}/", f"{table}s")


CASES = {case.name: case for case in (*_api(), *_pages())}
