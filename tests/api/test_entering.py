"""A host or BMC is tried before it is entered: a useless one is a 400, and changes nothing."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from fencing.domain.power import PowerState
from fencing.models import PowerController
from fencing.power.memory import MemoryBmc
from hosts.domain.looks import GuestState, SeenGuest, Stamp
from hosts.models import Host
from portal.core.models import Event, Role
from portal.core.services import installation_id
from tests.api.conftest import API, Centre, Hardware, Speaks, problem

GUEST = SeenGuest("00000000-0000-4000-8000-00000000abcd", "old1", GuestState.RUNNING)


def _fields(centre: Centre) -> dict[str, Any]:
    return {"name": "n9", "uri": "qemu+tls://n9/system", "cluster": centre.cluster.pk}


def _enter(client: APIClient, centre: Centre) -> Any:
    return client.post(f"{API}/hosts/", _fields(centre), format="json")


def _nothing_changed(before: int) -> bool:
    return Host.objects.count() == before and not Event.objects.filter(kind="host.added").exists()


def test_an_unreachable_address_is_not_entered(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    before = Host.objects.count()
    hardware.machine("n9").isolated = True
    told = problem(_enter(admin, centre), 400, "uri")
    assert "no answer" in told["detail"]
    assert "Check the address" in told["cure"]
    assert _nothing_changed(before)

    hardware.machine("n9").isolated = False
    assert _enter(admin, centre).status_code == 201


def test_a_host_in_the_care_of_another_portal_is_not_entered(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    before = Host.objects.count()
    guests = hardware.machine("n9").guests
    guests[GUEST.uuid] = replace(GUEST, stamp=Stamp("somebody-else", 1, 1, 1))
    told = problem(_enter(admin, centre), 400, "uri")
    assert "old1" in told["detail"]
    assert "another installation" in told["detail"]
    assert "Two portals" in told["cure"]
    assert _nothing_changed(before)

    guests[GUEST.uuid] = replace(GUEST, stamp=Stamp(installation_id(), 1, 1, 1))
    assert _enter(admin, centre).status_code == 201, "its own marks are no hindrance"


def test_a_machine_that_is_a_host_already_is_not_entered_again(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    Host.objects.filter(pk=centre.node1.pk).update(host_uuid=hardware.machine("n9").uuid)
    before = Host.objects.count()
    told = problem(_enter(admin, centre), 400, "uri")
    assert "is node1 already" in told["detail"]
    assert _nothing_changed(before)


def test_the_address_of_a_host_is_not_changed_to_another_machines(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    Host.objects.filter(pk=centre.node1.pk).update(host_uuid="11111111-1111-1111-1111-111111111111")
    path, change = f"{API}/hosts/{centre.node1.pk}/", {"uri": "qemu+tls://new/system"}
    answer = admin.patch(path, change, format="json", headers={"If-Match": "*"})
    assert "another machine answers there" in problem(answer, 400, "uri")["detail"]
    assert Host.objects.get(pk=centre.node1.pk).uri == centre.node1.uri


def test_nobody_but_an_administrator_makes_the_portal_connect_anywhere(
    centre: Centre, hardware: Hardware, speaks: Speaks
) -> None:
    hardware.machine("n9").isolated = True
    problem(_enter(speaks(Role.OPERATOR), centre), 403)


def test_a_host_is_tried_with_no_transaction_open(
    transactional_db: None, centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    open_at_look: list[bool] = []

    def uptime() -> float:
        open_at_look.append(connection.in_atomic_block)
        return 1.0

    hardware.machine("n9").uptime = uptime
    fields, headers = _fields(centre), {"Idempotency-Key": "a"}
    answer = admin.post(f"{API}/hosts/", fields, format="json", headers=headers)
    assert answer.status_code == 201
    again = admin.post(f"{API}/hosts/", fields, format="json", headers=headers)
    assert again.json()["id"] == answer.json()["id"]
    assert open_at_look == [False], "asked once, outside; the repeated answer asks nobody"


BMC = {"address": "bmc1", "username": "admin", "password": "secret"}


def _bmc(hardware: Hardware, **changes: Any) -> MemoryBmc:
    made = hardware.add_bmc("bmc1")
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("fault", "told_as"),
    [
        ({"reachable": False}, ("address", "bmc1")),
        ({"refuses": True}, ("password", "refused")),
        ({"guid": "22222222-2222-2222-2222-222222222222"}, ("address", "that of node2")),
        ({"guid": "33333333-3333-3333-3333-333333333333"}, ("address", "another machine")),
    ],
)
def test_a_bmc_that_cannot_be_used_for_its_host_is_not_entered(
    fault: dict[str, Any], told_as: tuple[str, str],
    centre: Centre, hardware: Hardware, admin: APIClient,
) -> None:  # fmt: skip
    field, words = told_as
    Host.objects.filter(pk=centre.node1.pk).update(host_uuid="11111111-1111-1111-1111-111111111111")
    Host.objects.filter(pk=centre.node2.pk).update(host_uuid="22222222-2222-2222-2222-222222222222")
    bmc, before = _bmc(hardware, **fault), PowerController.objects.count()
    fields = BMC | {"host": centre.node1.pk}
    told = problem(admin.post(f"{API}/power-controllers/", fields, format="json"), 400, field)
    assert words in told["detail"]
    assert "secret" not in str(told)
    assert PowerController.objects.count() == before

    bmc.reachable, bmc.refuses, bmc.guid = True, False, None
    made = admin.post(f"{API}/power-controllers/", fields, format="json")
    assert made.status_code == 201, made.content
    assert bmc.on


def test_a_wrong_password_does_not_replace_the_right_one(
    centre: Centre, hardware: Hardware, admin: APIClient
) -> None:
    _bmc(hardware)
    pk = PowerController.objects.create(host=centre.node1, **BMC).pk
    path = f"{API}/power-controllers/{pk}/"
    wrong = {"password": "not-the-password"}
    answer = admin.patch(path, wrong, format="json", headers={"If-Match": "*"})
    problem(answer, 400, "password")
    assert PowerController.objects.get(pk=pk).password == "secret"

    level = admin.patch(path, {"level": 2}, format="json", headers={"If-Match": "*"})
    assert level.status_code == 200
    assert PowerController.objects.get(pk=pk).state == PowerState.UNKNOWN
