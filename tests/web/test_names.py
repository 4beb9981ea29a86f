"""What people with a narrow role are shown names no host, VM or cluster outside of it.

Everything that can be read is read: pages, parts, lists and objects over REST.  A thing's own
story is told whole (docs/api.md says so); none of those here has a foreign name in it.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from rest_framework.test import APIClient

from fencing.models import Alert, FenceOperation, Incident, PowerController
from fencing.services import capacity
from hosts.models import Cluster, Host, HostOperation
from portal.core.models import Role
from portal.core.services import record_event
from portal.lib import clock
from tests.api.conftest import add_vm, problem
from tests.api.full import Full, _ended, full
from tests.api.matrix import TABLE as CALLS
from tests.api.test_matrix import Caller, names
from tests.web.matrix import TABLE as PAGES
from tests.web.test_matrix import person
from vms.models import Disk, Proof, Run, Vm, VmOperation

__all__ = ["full"]

#: What is renamed so that its name is found nowhere by chance.
FOREIGN = {
    "far": "quarry-cluster",
    "far1": "quarry-far",
    "lake1": "quarry-lake",
    "node2": "quarry-node",
    "web1": "quarry-web",
    "idle1": "quarry-idle",
}
#: Place of the role -> which of those it covers, or stands in.
COVERED = {"C": {"node2", "web1", "idle1"}, "H": set[str](), "V": set[str]()}


def _tell_about(host: Host, vm: Vm) -> None:
    """Enter a row of everything about a host and a VM, each with their names in its texts."""
    now, text = clock.now(), f"{host.name} and {vm.name} are in trouble"
    row = Incident.objects.create(host=host, title=text, opened_at=now, summary=text, outcome="")
    about: dict[str, Any] = {
        "host": host.pk,
        "vm": vm.pk,
        "cluster": host.cluster_id,
        "incident": row.pk,
    }
    record_event("fence.failed", text, now=now, evidence={"why": text}, **about)
    Alert.objects.create(kind="fence_failed", host=host.pk, vm=vm.pk, text=text, opened_at=now)
    ended = _ended() | {"error_text": text}
    HostOperation.objects.create(kind="probe", host=host, **ended)
    VmOperation.objects.create(kind="stop", vm=vm, host=host, **ended)
    FenceOperation.objects.create(kind="check", host=host, incident=row, **ended)
    PowerController.objects.create(
        host=host, address=f"bmc.{host.name}", username="admin", password="secret"
    )
    Disk.objects.create(vm=vm, path=f"/srv/{vm.name}", writable=True)


@pytest.fixture
def crowded(full: Full) -> Full:
    """The data centre with rows about all that a narrow role must not show."""
    centre = full.centre
    Cluster.objects.filter(pk=centre.other.pk).update(name=FOREIGN["far"])
    for name in ("far1", "node2"):
        Host.objects.filter(pk=getattr(centre, name).pk).update(
            name=FOREIGN[name], uri=f"qemu+tls://{FOREIGN[name]}/system", hostname=FOREIGN[name]
        )
    for name in ("web1", "idle1"):
        Vm.objects.filter(pk=getattr(centre, name).pk).update(name=FOREIGN[name])
    for row in (centre.far1, centre.node2, centre.web1):
        row.refresh_from_db()
    _tell_about(centre.far1, add_vm(FOREIGN["lake1"], centre.other, centre.far1))
    _tell_about(centre.node2, centre.web1)
    VmOperation.objects.create(kind="stop", vm=centre.idle1, host=centre.node1, **_ended())
    capacity.check(centre.cluster.pk, clock.now())
    return full


def addresses(known: dict[str, str]) -> Iterator[str]:
    """Yield everything that can be read, of objects in and outside of the roles."""
    every = known | {"node1": known["node1"]}
    for table, prefix in ((PAGES, ""), (CALLS, "/api/v1/")):
        for method, path, *_ in map(str.split, filter(str.strip, table.splitlines())):
            if method == "GET" and not path.startswith(("/api/", "/readyz", "/sign-in/")):
                yield prefix + path.format(**every)
    parts = ("head", "attention", "health", "chart", "hosts", "vms", "incidents", "events")
    yield from (f"/parts/{name}/" for name in parts)
    yield from ("/search/?q=quarry", "/search/?q=vm-1", "/api/v1/events/export/")
    for kind, name in (("clusters", "far"), ("hosts", "node2"), ("vms", "web1")):
        yield from (f"/{kind}/{known[name]}/", f"/api/v1/{kind}/{known[name]}/")
    yield f"/hosts/?cluster={known['far']}&search=quarry"
    yield f"/api/v1/events/?host={known['node2']}"


def read(client: Client, path: str) -> str:
    """Return all that an answer shows."""
    answer: Any = client.get(path)
    assert answer.status_code < 500, path
    whole = b"".join(answer) if answer.streaming else answer.content
    return str(whole.decode())


@pytest.mark.parametrize("place", sorted(COVERED))
@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
def test_nothing_outside_a_narrow_role_is_named(place: str, role: Role, crowded: Full) -> None:
    client = Client()
    user = person(Caller("narrow", role, place), crowded.centre)
    client.force_login(user, settings.AUTHENTICATION_BACKENDS[1])
    hidden = [text for name, text in FOREIGN.items() if name not in COVERED[place]]
    known = names(crowded) | {"far": str(crowded.centre.other.pk)}
    found = []
    for path in addresses(known):
        # What was asked for comes back in the search field and in links.
        text = read(client, path).replace("quarry&", "").replace('"quarry"', "")
        found += [f"{path}: {name}" for name in hidden if re.search(rf"{name}\b", text)]
    assert not found, "\n".join(found)


def test_whoever_sees_everything_is_shown_all_those_names(crowded: Full) -> None:
    client = Client()
    user = person(Caller("wide", Role.ADMIN, "E"), crowded.centre)
    client.force_login(user, settings.AUTHENTICATION_BACKENDS[1])
    known = names(crowded) | {"far": str(crowded.centre.other.pk)}
    text = "".join(read(client, path) for path in addresses(known))
    assert [name for name in FOREIGN.values() if name not in text] == []


@pytest.mark.parametrize(
    ("role", "place", "shown"),
    [(Role.VIEWER, "E", False), (Role.OPERATOR, "H", False), (Role.ADMIN, "H", True)],
)
def test_the_name_of_a_bmcs_user_is_for_administrators(
    role: Role, place: str, shown: bool, full: Full
) -> None:
    PowerController.objects.filter(pk=full.controller.pk).update(username="quarry-user")
    client = Client()
    user = person(Caller("somebody", role, place), full.centre)
    client.force_login(user, settings.AUTHENTICATION_BACKENDS[1])
    for path in (
        f"/power-controllers/{full.controller.pk}/",
        "/power-controllers/?columns=username",
        f"/api/v1/power-controllers/{full.controller.pk}/",
        "/api/v1/power-controllers/",
    ):
        assert ("quarry-user" in read(client, path)) is shown, path


def _proof(run: Run) -> Proof:
    now = clock.now()
    return Proof.objects.create(
        kind="observed_off", at=now, recorded_at=now, host=run.host, text="not there any more"
    )


def test_a_host_outside_of_the_role_is_not_named_by_a_refused_start(full: Full) -> None:
    client = APIClient()
    client.force_authenticate(person(Caller("somebody", Role.OPERATOR, "V"), full.centre))
    Host.objects.filter(pk=full.centre.far1.pk).update(name="quarry-far")
    run = Run.objects.get(vm=full.centre.db1, ended_at__isnull=True)
    Run.objects.filter(pk=run.pk).update(ended_at=run.started_at, proof=_proof(run))
    body = {"host": full.centre.far1.pk}
    answer = client.post(f"/api/v1/vms/{full.centre.db1.pk}/actions/start/", body, format="json")
    problem(answer, 400, "host")  # as if it did not exist
    assert "quarry" not in answer.content.decode()
