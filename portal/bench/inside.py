"""What the bench has done with the portal's own code, in a process with the place's settings.

Reads one JSON object a line, ``{"what": "fill", …}``, calls the function of that name
with the other fields, and answers with one line.  An exception ends the process.
"""

import json
import math
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Model
from django.test import Client

from fencing.models import Alert, FenceOperation, Incident, PowerController
from hosts.models import Cluster, Engine, Host, HostOperation
from hosts.services import inventory
from portal.bench.cases import CASES, PAGE, Size
from portal.bench.filling import Filling
from portal.cli import prepare
from portal.core.models import (
    ApiToken,
    Delivery,
    Event,
    NotificationTarget,
    Role,
    RoleBinding,
    User,
)
from portal.lib import clock
from portal.sim.shelf import scenarios
from vms.models import AffinityRule, Proof, Run, Vm, VmOperation

_BACKEND = "django.contrib.auth.backends.ModelBackend"
_TOKENS = 60
#: The tables behind each list.
TABLES: dict[str, tuple[type[Model], ...]] = {
    "clusters": (Cluster,),
    "hosts": (Host,),
    "power-controllers": (PowerController,),
    "vms": (Vm,),
    "runs": (Run,),
    "affinity-rules": (AffinityRule,),
    "proofs": (Proof,),
    "incidents": (Incident,),
    "alerts": (Alert,),
    "events": (Event,),
    "operations": (HostOperation, VmOperation, FenceOperation),
    "users": (User,),
    "role-bindings": (RoleBinding,),
    "notification-targets": (NotificationTarget,),
    "deliveries": (Delivery,),
    "engines": (Engine,),
}


def fill(hosts: int, vms: int) -> dict[str, Any]:
    """Make tables and rows; return their numbers and what paths may hold."""
    prepare.tables()
    prepare.static_files()
    Filling(Size(hosts, vms), clock.now()).write()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # what its daemon does by itself, a minute later
    people = {"wide": _person("wide"), "narrow": _person("narrow", _middle(Cluster).pk)}
    rows = {name: sum(_count(table) for table in tables) for name, tables in TABLES.items()}
    rows["tokens"] = _TOKENS  # each person sees no others
    rows["scenarios"] = len(scenarios())
    last = {
        f"last_{name.replace('-', '_')}": math.ceil(count / PAGE) for name, count in rows.items()
    }
    return {"people": people, "rows": rows, "words": _words() | last}


def _count(table: type[Model]) -> int:
    return table._default_manager.count()


def _middle(table: type[Model]) -> Any:
    rows = table._default_manager.order_by("pk")
    return rows[rows.count() // 2]


def _words() -> dict[str, Any]:
    """Return what the paths of the cases may hold."""
    host, vm = _middle(Host), _middle(Vm)
    event = b64encode(f"p={_middle(Event).pk}".encode()).decode()
    return {
        "cluster": _middle(Cluster).pk,
        "host": host.pk,
        "host_name": host.name,
        "vm": vm.pk,
        "vm_name": vm.name,
        "incident": _middle(Incident).pk,
        "cursor": event.replace("=", "%3D"),
    }


def _person(name: str, cluster: int = 0) -> dict[str, str]:
    """Enter a person: an administrator of everything, or a viewer of one cluster."""
    user = User.objects.create_user(name)
    role, scope = (Role.VIEWER, "cluster") if cluster else (Role.ADMIN, "all")
    RoleBinding.objects.create(user=user, role=role, scope_type=scope, scope_id=cluster)
    for number in range(_TOKENS):
        _, secret = ApiToken.objects.create(user=user, name=f"token {number}")
    return {"token": secret, "cookie": _sign_in(user)}


def _sign_in(user: User) -> str:
    """Open a session, as signing in does, without the time that a password takes."""
    client = Client()
    client.force_login(user, _BACKEND)
    return f"sessionid={client.cookies['sessionid'].value}"


def count(paths: dict[str, str], people: dict[str, dict[str, str]]) -> dict[str, int]:
    """Return the number of queries of each case; the first call of each may find caches empty."""
    return {
        name: min(_queries(name, path, people) for _ in range(2)) for name, path in paths.items()
    }


def _queries(name: str, path: str, people: dict[str, dict[str, str]]) -> int:
    seen = 0

    def note(execute: Callable[..., Any], *args: Any) -> Any:
        nonlocal seen
        seen += 1
        return execute(*args)

    case = CASES[name]
    with connection.execute_wrapper(note):
        answer = Client(headers=case.headers(people)).get(path, SERVER_NAME="127.0.0.1")
    if answer.status_code != 200:
        said = f"answered {answer.status_code}: {answer.content[:500]!r}"
        raise RuntimeError(f"{name}: {path} {said}")
    return seen


def crowd(clients: int) -> dict[str, Any]:
    """Enter viewers, every second one of one cluster; return cookies and that cluster's hosts."""
    cluster = _middle(Cluster).pk
    cookies = []
    for number in range(clients):
        user = get_user_model().objects.create_user(f"viewer{number}")
        scope, pk = ("cluster", cluster) if number % 2 else ("all", 0)
        RoleBinding.objects.create(user=user, role=Role.VIEWER, scope_type=scope, scope_id=pk)
        cookies.append(_sign_in(user))
    hosts = list(Host.objects.filter(cluster=cluster).values_list("pk", flat=True))
    return {"cookies": cookies, "hosts": hosts}


def edit(host: int, turn: int) -> float:
    """Edit a host as the API does; return the monotonic time of the commit."""
    times: list[float] = []
    row = Host.objects.get(pk=host)
    changes = {"policy": {"grace": 10 + turn % 20}}
    with transaction.atomic():
        transaction.on_commit(lambda: times.append(time.monotonic()))  # the first of all of them
        inventory.edit(row, changes, actor="bench", now=clock.now())
    return times[0]


_CALLS: dict[str, Callable[..., Any]] = {call.__name__: call for call in (fill, count, crowd, edit)}


def main() -> None:
    """Answer until there is nothing more to read."""
    for line in sys.stdin:
        fields = json.loads(line)
        answer = _CALLS[fields.pop("what")](**fields)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
