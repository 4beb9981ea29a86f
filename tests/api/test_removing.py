"""Removing hosts, VMs and clusters: what is under way forbids it, and history stays."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from fencing.domain.alerts import AlertKind
from fencing.models import Alert, FenceOperation, Incident, ManualConfirmation, PowerController
from fencing.services import power
from fencing.services.incidents import open_incident, raise_alert
from hosts.models import Host, HostOperation
from portal.core.models import OPEN_STATES, Event
from portal.core.services import broken_seal
from portal.lib import clock
from tests.api.conftest import API, Centre, Speaks, problem
from tests.vms.conftest import either
from vms.domain.states import ProofKind
from vms.models import Disk, Proof, Run, Vm, VmOperation

__all__ = ["either"]


def test_a_host_entered_by_mistake_goes_with_all_that_came_with_it(
    either: str, centre: Centre, admin: APIClient
) -> None:
    fields = {"name": "wrong", "uri": "qemu+tls://wrong/system", "cluster": centre.cluster.pk}
    pk = admin.post(f"{API}/hosts/", fields, format="json").json()["id"]
    bmc = {"host": pk, "address": "192.0.2.99", "username": "a", "password": "b"}
    row = admin.post(f"{API}/power-controllers/", bmc, format="json").json()["id"]
    for path in (
        f"hosts/{pk}/actions/probe", f"hosts/{pk}/actions/disable-ha",
        f"hosts/{pk}/actions/enable-ha", f"hosts/{pk}/actions/maintenance",
        f"power-controllers/{row}/actions/test",
    ):  # fmt: skip
        assert admin.post(f"{API}/{path}/", {}, format="json").status_code == 202, path
    answer = admin.post(f"{API}/hosts/{pk}/actions/fence/", {"action": "status"}, format="json")
    assert answer.status_code == 202
    raise_alert(AlertKind.BMC_UNREACHABLE, pk, 0, "no answer", clock.now())

    gone = admin.delete(f"{API}/hosts/{pk}/")

    assert gone.status_code == 204, gone.content
    assert not Host.objects.filter(pk=pk).exists()
    assert not PowerController.objects.filter(host=pk).exists(), "no secret is kept"
    for model in (HostOperation, FenceOperation):
        found = model._default_manager.filter(host=pk)
        assert found.exists(), "history stays"
        assert not found.filter(state__in=OPEN_STATES).exists()
    assert not Alert.objects.filter(host=pk, closed_at__isnull=True).exists()
    assert Event.objects.filter(host=pk, kind="host.removed").count() == 1
    assert Event.objects.filter(host=pk, kind="host.added").exists()
    assert broken_seal() is None
    for query in ("hosts/", "operations/", f"alerts/?host={pk}", f"events/?host={pk}"):
        assert admin.get(f"{API}/{query}").status_code == 200


def open_run(host: Host, centre: Centre) -> None:
    """An open run there."""
    Run.objects.create(vm=centre.idle1, host=host, generation=1, started_at=clock.now())


def contender(host: Host, centre: Centre) -> None:
    """A run elsewhere that this host may hold as well."""
    Run.objects.filter(host=centre.node1).update(contender=host)


def fence(host: Host, centre: Centre) -> None:
    """A fence."""
    power.ask("fence", host.pk, now=clock.now())


def acting(host: Host, centre: Centre) -> None:
    """A question to its BMC that is on its way."""
    op = power.ask("check", host.pk, now=clock.now())
    FenceOperation.objects.filter(pk=op.pk).update(state="acting")


def work(host: Host, centre: Centre) -> None:
    """Work on a VM's copy there."""
    now = clock.now()
    VmOperation.objects.create(
        kind="undefine", vm=centre.db1, host=host, requested_at=now, due_at=now
    )


def up(host: Host, centre: Centre) -> None:
    """It is in use."""
    Host.objects.filter(pk=host.pk).update(status="up")


@pytest.mark.parametrize(
    ("happens", "word"),
    [
        (open_run, "idle1 has an open run"), (contender, "db1 has an open run"),
        (fence, "fence"), (acting, "check"), (work, "undefine"), (up, "far1 is up"),
    ],
)  # fmt: skip
def test_a_host_on_which_something_is_under_way_stays(
    happens: Callable[[Host, Centre], Any], word: str, centre: Centre, admin: APIClient
) -> None:
    Host.objects.filter(pk=centre.far1.pk).update(status="maintenance")
    happens(centre.far1, centre)
    before = Event.objects.count()
    path = f"{API}/hosts/{centre.far1.pk}/"
    told = problem(admin.delete(path), 409)
    assert told["code"] == "in_use"
    assert word in told["detail"]
    shown = admin.get(f"{path}removal/").json()
    assert not shown["allowed"]
    assert word in shown["hindrances"][0]["text"]
    assert shown["hindrances"][0]["cure"] == told["cure"]
    assert Host.objects.filter(pk=centre.far1.pk).exists()
    assert Event.objects.count() == before


def test_a_host_with_a_history_goes_and_its_history_can_be_read(
    either: str, centre: Centre, admin: APIClient
) -> None:
    now = clock.now()
    pk, vm = centre.node1.pk, centre.db1
    proof = Proof.objects.create(
        kind=ProofKind.POWER_OFF, at=now, recorded_at=now, host_id=pk, text="off"
    )
    Run.objects.filter(vm=vm).update(ended_at=now, proof=proof)
    Vm.objects.filter(pk=vm.pk).update(wanted_up=False)
    made = open_incident(pk, now)
    Incident.objects.filter(pk=made.pk).update(closed_at=now)
    ManualConfirmation.objects.create(host_id=pk, at=now, actor="ann", reason="I looked")
    Host.objects.filter(pk=pk).update(status="maintenance", boot_marker="t0k3n")
    shown = admin.get(f"{API}/hosts/{pk}/removal/").json()
    assert shown["allowed"]
    assert any("db1" in line for line in shown["cleaned"])
    assert any("certificate" in line for line in shown["stays_behind"])

    gone = admin.delete(f"{API}/hosts/{pk}/")

    assert gone.status_code == 202, gone.content
    assert admin.get(gone["Location"]).json()["kind"] == "clean"
    problem(admin.get(f"{API}/hosts/{pk}/"), 404)
    assert "node1" not in [row["name"] for row in admin.get(f"{API}/hosts/").json()["results"]]
    for query in (f"runs/?host={pk}", f"proofs/?host={pk}", f"incidents/?host={pk}"):
        rows = admin.get(f"{API}/{query}").json()["results"]
        assert [row["host_name"] for row in rows] == ["node1"], query
    assert admin.get(f"{API}/operations/?host={pk}").status_code == 200
    same = {"name": "node1", "uri": "qemu+tls://node1/system", "cluster": centre.cluster.pk}
    again = admin.post(f"{API}/hosts/", same, format="json")
    assert again.status_code == 201, again.content
    assert again.json()["id"] != pk
    assert broken_seal() is None


def test_a_vm_is_removed_when_it_is_down_and_comes_back_with_its_generation(
    either: str, centre: Centre, admin: APIClient
) -> None:
    path = f"{API}/vms/{centre.db1.pk}/"
    told = problem(admin.delete(path), 409)
    assert "open run on node1" in told["detail"]
    now = clock.now()
    proof = Proof.objects.create(
        kind=ProofKind.OBSERVED_OFF, at=now, recorded_at=now, host=centre.node1, text="off"
    )
    Run.objects.filter(vm=centre.db1).update(ended_at=now, proof=proof)
    Disk.objects.create(vm=centre.db1, path="/srv/db1")
    shown = admin.get(f"{path}removal/").json()
    assert shown["allowed"]
    assert any("/srv/db1" in line for line in shown["stays_behind"])
    assert any("node1" in line for line in shown["cleaned"])

    gone = admin.delete(path)

    assert gone.status_code == 202, gone.content
    assert admin.get(gone["Location"]).json()["target"]["name"] == "db1"
    problem(admin.get(path), 404)
    rows = admin.get(f"{API}/runs/?vm={centre.db1.pk}").json()["results"]
    assert [row["vm_name"] for row in rows] == ["db1"]
    same = {
        "name": "db1", "uuid": centre.db1.uuid, "cluster": centre.cluster.pk, "memory_mib": 512,
        "vcpus": 1,
    }  # fmt: skip
    back = admin.post(f"{API}/vms/", same, format="json")
    assert back.status_code == 201, back.content
    assert (back.json()["id"], back.json()["generation"]) == (centre.db1.pk, 1)


def test_a_removed_vm_that_runs_is_not_entered_as_if_it_were_down(
    centre: Centre, admin: APIClient
) -> None:
    Vm.objects.filter(pk=centre.idle1.pk).update(removed_at=clock.now(), seen_again_on=centre.far1)
    same = {
        "name": "idle1", "uuid": centre.idle1.uuid, "cluster": centre.cluster.pk,
        "memory_mib": 512, "vcpus": 1,
    }  # fmt: skip
    told = problem(admin.post(f"{API}/vms/", same, format="json"), 400, "uuid")
    assert "runs on far1" in told["detail"]


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_administrator_removes(role: str, centre: Centre, speaks: Speaks) -> None:
    Host.objects.filter(pk=centre.far1.pk).update(status="maintenance")
    client = speaks(role)
    for path in (f"hosts/{centre.far1.pk}", f"vms/{centre.idle1.pk}"):
        problem(client.delete(f"{API}/{path}/"), 403)
        problem(client.get(f"{API}/{path}/removal/"), 403)


def test_a_cluster_with_hosts_stays_and_an_empty_one_goes(centre: Centre, admin: APIClient) -> None:
    told = problem(admin.delete(f"{API}/clusters/{centre.other.pk}/"), 409)
    assert "hosts" in told["detail"]
    Host.objects.filter(pk=centre.far1.pk).update(status="maintenance")
    assert admin.delete(f"{API}/hosts/{centre.far1.pk}/").status_code == 204
    assert admin.delete(f"{API}/clusters/{centre.other.pk}/").status_code == 204
    assert admin.post(f"{API}/clusters/", {"name": "far"}, format="json").status_code == 201
