"""Trying, entering whole, and adopting over REST; whether HA protects a VM, in words."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from fencing.models import PowerController
from hosts.domain.looks import GuestState, SeenGuest, Stamp
from hosts.models import Host
from tests.api.conftest import API, Centre, Hardware, Speaks, add_vm, problem
from tests.vms.conftest import either
from vms.models import Run, Vm, VmOperation

__all__ = ["either"]

UUID = "00000000-0000-4000-8000-00000000abcd"
GUEST = SeenGuest(
    UUID, "old1", GuestState.RUNNING, memory_mib=512, vcpus=1, disks=("/srv/old1",), autostart=True
)
BMC = {"driver": "ipmi", "address": "bmc9", "username": "admin", "password": "secret"}


def _put(hardware: Hardware, name: str, **changes: Any) -> None:
    hardware.machine(name).guests[UUID] = replace(GUEST, **changes)


def _try(client: APIClient, **fields: Any) -> Any:
    wish = {"uri": "qemu+tls://n9/system", "name": "n9"} | fields
    return client.post(f"{API}/trials/host/", wish, format="json")


def _enter(client: APIClient, centre: Centre, **more: Any) -> Any:
    fields = {"name": "n9", "uri": "qemu+tls://n9/system", "cluster": centre.cluster.pk}
    return client.post(f"{API}/hosts/", fields | more, format="json")


def _rows() -> tuple[int, ...]:
    models = (Host, Vm, Run, VmOperation, PowerController)
    return tuple(model._base_manager.count() for model in models)


def test_a_trial_shows_what_is_there_and_stores_nothing(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    _put(hardware, "n9")
    before = _rows()
    found = _try(admin).json()
    assert (found["hostname"], found["known"]) == ("n9", "")
    assert found["host_uuid"] == hardware.machine("n9").uuid
    (guest,) = found["guests"]
    assert (guest["name"], guest["state"], guest["adoptable"]) == ("old1", "running", True)
    told = "\n".join(guest["unprotected"])
    assert "autostart" in told
    assert "/srv/old1" in told
    assert _rows() == before


def test_a_trial_names_what_cannot_be_adopted_and_a_host_that_is_known(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    Host.objects.filter(pk=centre.far1.pk).update(host_uuid=hardware.machine("n9").uuid)
    _put(hardware, "n9", stamp=Stamp("somebody-else", 1, 1, 1))
    found = _try(admin).json()
    assert found["known"] == "far1"
    (guest,) = found["guests"]
    assert not guest["adoptable"]
    assert "another installation" in guest["why_not"][0]


def test_a_host_that_was_never_seen_is_known_by_its_uri(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    Host.objects.filter(pk=centre.far1.pk).update(uri="qemu+tls://n9/system", host_uuid="")
    assert _try(admin).json()["known"] == "far1"


@pytest.mark.parametrize("name", ["node1", "NODE1", "my host", "-n9", "n" * 101])
def test_a_name_that_no_host_can_have_is_refused_by_the_trial(
    name: str, centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    assert problem(_try(admin, name=name), 400, "name")["detail"]


def test_a_trial_that_fails_names_the_likely_cause_and_a_command(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    hardware.machine("n9").isolated = True
    told = problem(_try(admin), 400, "uri")
    assert "nc -vz -w 3 n9 16514" in told["cure"]
    problem(_try(admin, uri="qemu+tls://n9/system?command=x"), 400, "uri")


@pytest.mark.parametrize("path", ["trials/host/", "trials/power/"])
def test_only_administrators_make_the_portal_connect_somewhere(
    path: str, centre: Centre, speaks: Speaks
) -> None:
    problem(speaks("operator").post(f"{API}/{path}", {}, format="json"), 403)
    problem(speaks("operator").get(f"{API}/preflight/?uri=n9"), 403)
    somewhere = speaks("admin", "cluster", centre.other.pk)
    problem(somewhere.post(f"{API}/{path}", {}, format="json"), 400)


def test_what_runs_on_somebody_elses_host_is_not_told_by_a_trial(
    centre: Centre, hardware: Hardware, speaks: Speaks
) -> None:
    Host.objects.filter(pk=centre.node1.pk).update(host_uuid=hardware.machine("n9").uuid)
    _put(hardware, "n9")
    answer = _try(speaks("admin", "cluster", centre.other.pk))
    problem(answer, 403)
    assert "old1" not in answer.content.decode()
    assert _try(speaks("admin", "cluster", centre.cluster.pk)).json()["known"] == "node1"


def test_a_bmc_is_tried_with_its_identity_and_not_stored(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    bmc, before = hardware.add_bmc("bmc9"), _rows()
    machine = hardware.machine("n9").uuid
    for guid, identity in ((machine, "proven"), (None, "unproven"), (UUID, "foreign")):
        bmc.guid = guid
        wish = BMC | {"host_uuid": machine}
        answer = admin.post(f"{API}/trials/power/", wish, format="json")
        assert answer.status_code == 200, answer.content
        assert (answer.json()["state"], answer.json()["identity"]) == ("on", identity)
        assert "secret" not in answer.content.decode()
    bmc.refuses = True
    problem(admin.post(f"{API}/trials/power/", BMC, format="json"), 400, "password")
    assert _rows() == before
    assert bmc.on


def test_the_preflight_list_is_about_the_uri_as_it_is_typed(
    centre: Centre, admin: APIClient
) -> None:
    def ask(uri: str) -> Any:
        return admin.get(f"{API}/preflight/", {"uri": uri})

    commands = [item["command"] for item in ask("n9.example").json()]
    assert any("n9.example 16514" in command for command in commands)
    told = ask("qemu+ssh://ann@n9:2222/system").json()
    assert {item["scheme"] for item in told} == {"qemu+ssh", ""}
    assert {"ssh-copy-id -p 2222 ann@n9"} <= {item["command"] for item in told}
    for wrong in ("qemu:///system", "x;reboot", "1", ""):
        assert "host" in problem(ask(wrong), 400, "uri")["cure"]
    problem(admin.get(f"{API}/preflight/?address=n9"), 400)


def test_a_host_is_entered_whole(
    either: str, centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    _put(hardware, "n9")
    hardware.add_bmc("bmc9").guid = hardware.machine("n9").uuid
    answer = _enter(admin, centre, adopt=[UUID], adopt_ha=True, power=BMC)
    assert answer.status_code == 201, answer.content
    assert "secret" not in answer.content.decode()
    made = answer.json()
    assert (made["status"], len(made["power"])) == ("up", 1)
    vm = Vm.objects.get(uuid=UUID)
    run = Run.objects.get(vm=vm, ended_at__isnull=True)
    assert (run.host_id, run.generation, run.adopting, vm.ha) == (made["id"], 1, True, True)
    assert VmOperation.objects.filter(vm=vm, kind="adopt", host=made["id"]).count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"adopt": [UUID, "00000000-0000-4000-8000-00000000dead"]}, "adopt"),
        ({"power": BMC | {"address": "silent"}}, "power.address"),
        ({"adopt": "nonsense"}, "adopt"),
        ({"power": BMC | {"port": 0}}, "power.port"),
    ],
)
def test_a_host_is_entered_whole_or_not_at_all(
    changes: dict[str, Any], field: str, centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    _put(hardware, "n9")
    hardware.add_bmc("bmc9").guid = hardware.machine("n9").uuid
    hardware.add_bmc("silent").reachable = False
    before = _rows()
    told = problem(_enter(admin, centre, **({"adopt": [UUID], "power": BMC} | changes)), 400)
    assert told["field"].startswith(field)
    assert "secret" not in str(told)
    assert _rows() == before


def test_what_runs_on_a_host_is_adopted_and_each_has_its_operation(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    _put(hardware, "node1")
    Host.objects.filter(pk=centre.node1.pk).update(host_uuid=hardware.machine("node1").uuid)
    path = f"{API}/hosts/{centre.node1.pk}/actions/adopt/"
    answer = admin.post(path, {"vms": [UUID], "ha": True}, format="json")
    assert answer.status_code == 202, answer.content
    (op,) = answer.json()["operations"]
    assert (op["kind"], op["target"]["name"]) == ("adopt", "old1")
    assert admin.get(answer["Location"]).json()["id"] == op["id"]
    again = problem(admin.post(path, {"vms": [UUID]}, format="json"), 400, "vms")
    assert "already, as old1" in again["detail"]


def test_adoption_is_for_administrators_of_the_cluster(
    centre: Centre, hardware: Hardware, speaks: Speaks
) -> None:
    _put(hardware, "node1")
    path = f"{API}/hosts/{centre.node1.pk}/actions/adopt/"
    problem(speaks("operator").post(path, {"vms": [UUID]}, format="json"), 403)
    narrow = speaks("admin", "host", centre.node1.pk)
    problem(narrow.post(path, {"vms": [UUID]}, format="json"), 403)
    assert not Vm.objects.filter(uuid=UUID).exists()


def test_a_repeated_request_adopts_once(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    _put(hardware, "node1")
    Host.objects.filter(pk=centre.node1.pk).update(host_uuid=hardware.machine("node1").uuid)
    path, key = f"{API}/hosts/{centre.node1.pk}/actions/adopt/", {"Idempotency-Key": "k"}
    first = admin.post(path, {"vms": [UUID]}, format="json", headers=key)
    second = admin.post(path, {"vms": [UUID]}, format="json", headers=key)
    assert first.json() == second.json()
    assert Run.objects.filter(vm__uuid=UUID).count() == 1


def test_whether_ha_protects_a_vm_is_told_with_reasons(centre: Centre, admin: APIClient) -> None:
    Vm.objects.filter(pk=centre.web1.pk).update(xml="<domain/>")
    told = admin.get(f"{API}/vms/{centre.web1.pk}/").json()["protection"]
    assert told["protected"] is False
    assert told["why_not"] == ["no power controller of node2 is trusted and proven to be its own"]
    PowerController.objects.update(identity="proven")
    assert admin.get(f"{API}/vms/{centre.web1.pk}/").json()["protection"]["protected"]
    other = admin.get(f"{API}/vms/{centre.db1.pk}/").json()["protection"]["why_not"]
    assert any("node1 has no power controller" in reason for reason in other)


def test_a_list_of_vms_asks_the_same_number_of_questions_however_long(
    centre: Centre, admin: APIClient
) -> None:
    def asked() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert admin.get(f"{API}/vms/").status_code == 200
        return len(queries)

    before = asked()
    for number in range(5):
        add_vm(f"more{number}", centre.cluster, centre.node1)
    assert asked() == before
