"""A power controller's driver, port and options: checked before anything is asked or stored."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from fencing.domain.facts import Identity
from fencing.models import FenceOperation, PowerController
from fencing.operations.checking import advance_check
from fencing.power import install
from fencing.power.port import Power
from tests.api.conftest import API, Centre, Hardware, problem

PATH = f"{API}/power-controllers/"
PDU = {"agent": "fence_apc", "plug": "3"}


@pytest.fixture(autouse=True)
def _drivers(hardware: Hardware) -> Iterator[None]:
    """Let every driver reach the BMCs in memory."""
    for name in ("redfish", "fence-agent"):
        install(name, cast("Power", hardware))
    yield
    for name in ("redfish", "fence-agent"):
        install(name, None)


def enter(client: APIClient, centre: Centre, **fields: Any) -> Any:
    whole = {"host": centre.node1.pk, "address": "bmc1", "username": "admin", "password": "secret"}
    return client.post(PATH, whole | fields, format="json")


def change(client: APIClient, row: int, **fields: Any) -> Any:
    return client.patch(f"{PATH}{row}/", fields, format="json", headers={"If-Match": "*"})


@pytest.mark.parametrize(
    ("driver", "options", "port"),
    [
        ("ipmi", {"guid_order": "smbios"}, 623),
        ("redfish", {}, 443),
        ("redfish", {"system": "System.Embedded.1", "verify": "/etc/holdfast/bmc.pem"}, 443),
        ("fence-agent", {"agent": "fence_ilo5", "lanplus": "1", "cipher": "17"}, 623),
        ("fence-agent", PDU, 22),
        ("fence-agent", PDU | {"ssh": "0"}, 23),
        ("fence-agent", {"agent": "fence_pve", "plug": "101", "pve_node": "pve1"}, 8006),
    ],
)
def test_each_driver_has_its_options_and_its_port(
    centre: Centre, admin: APIClient, driver: str, options: dict[str, str], port: int
) -> None:
    made = enter(admin, centre, driver=driver, options=options)
    assert made.status_code == 201, made.content
    assert (made.json()["port"], made.json()["options"]) == (port, options)
    assert enter(admin, centre, driver=driver, options=options, port=7001).json()["port"] == 7001


@pytest.mark.parametrize(
    ("driver", "options", "field", "cure"),
    [
        ("ipmi", {"lanplus": "1"}, "options.lanplus", "leave it out; there are guid_order"),
        ("ipmi", {"guid_order": "random"}, "options.guid_order", "smbios"),
        ("redfish", {"sytem": "1"}, "options.sytem", "there are system, verify"),
        ("redfish", {"verify": "no"}, "options.verify", "sha256:"),
        ("redfish", {"verify": "sha256:12"}, "options.verify", "fingerprint"),
        ("redfish", {"verify": "relative/ca.pem"}, "options.verify", "absolute path"),
        ("redfish", {"system": "../1"}, "options.system", "Id of one system"),
        ("redfish", {"system": "1\n2"}, "options.system", "Id of one system"),
        ("fence-agent", {}, "options.agent", "fence_ipmilan"),
        ("fence-agent", {"agent": "fence_scsi"}, "options.agent", "fence_ipmilan"),
        ("fence-agent", {"agent": "fence_apc"}, "options.plug", "is missing"),
        ("fence-agent", {"agent": "fence_apc", "plug": "1,2"}, "options.plug", "one outlet"),
        ("fence-agent", PDU | {"password_script": "x"}, "options.password_script", "leave it out"),
        ("fence-agent", PDU | {"lanplus": "1"}, "options.lanplus", "leave it out"),
        ("redfish", {"system": ["1"]}, "options.system", "string"),
        ("redfish", ["system"], "options", "dictionary"),
    ],
)
def test_an_option_that_the_driver_does_not_take_is_refused_by_name(
    driver: str, options: Any, field: str, cure: str, *, centre: Centre, admin: APIClient
) -> None:
    before = PowerController.objects.count()
    told = problem(enter(admin, centre, driver=driver, options=options), 400, field)
    assert cure in told["detail"]
    assert PowerController.objects.count() == before


def test_an_unknown_driver_is_refused_and_the_known_ones_are_offered(
    centre: Centre, admin: APIClient, tmp_path: Path
) -> None:
    problem(enter(admin, centre, driver="telepathy"), 400, "driver")
    document = tmp_path / "schema.json"
    call_command("spectacular", "--format", "openapi-json", "--file", str(document))
    offered = json.loads(document.read_text())["components"]["schemas"]
    found = offered["Controller"]["properties"]["driver"]
    if "enum" not in found:
        found = offered[found["$ref"].rpartition("/")[2]]
    assert found["enum"] == ["fence-agent", "ipmi", "redfish"]


@pytest.mark.parametrize("address", ["bmc1:443", "https://bmc1", "bmc1 -x", "-oProxy=1", "a\nb"])
def test_an_address_is_a_host_and_nothing_else(
    centre: Centre, admin: APIClient, address: str
) -> None:
    for driver, options in (("redfish", {}), ("fence-agent", PDU)):
        answer = enter(admin, centre, driver=driver, options=options, address=address)
        problem(answer, 400, "address")


def test_a_change_is_checked_with_what_stays(centre: Centre, admin: APIClient) -> None:
    row = enter(admin, centre, options={"guid_order": "ipmi"}).json()["id"]
    problem(change(admin, row, driver="redfish"), 400, "options.guid_order")
    problem(change(admin, row, options={"system": "1"}), 400, "options.system")
    assert PowerController.objects.get(pk=row).options == {"guid_order": "ipmi"}

    moved = change(admin, row, driver="redfish", options={"system": "1"}).json()
    assert (moved["driver"], moved["port"], moved["options"]) == ("redfish", 443, {"system": "1"})
    assert change(admin, row, port=8443).json()["port"] == 8443
    assert change(admin, row, options={}).json()["port"] == 8443, "a port that was chosen stays"


def test_one_address_serves_several_machines_and_each_only_once(
    centre: Centre, admin: APIClient
) -> None:
    first = enter(admin, centre, driver="fence-agent", options=PDU)
    assert first.status_code == 201
    other = enter(admin, centre, driver="fence-agent", options=PDU | {"plug": "4"})
    assert other.status_code == 201
    again = enter(admin, centre, driver="fence-agent", options=PDU | {"switch": "1"})
    problem(again, 400, "address")
    problem(change(admin, other.json()["id"], options=PDU), 400, "address")

    assert enter(admin, centre, driver="redfish", options={"system": "1"}).status_code == 201
    problem(enter(admin, centre, driver="redfish"), 400, "address")


def test_a_wrong_setting_is_told_at_its_own_field(centre: Centre, admin: APIClient) -> None:
    install("redfish", None)
    options = {"verify": "/nowhere/ca.pem"}
    answer = enter(admin, centre, address="127.0.0.1", driver="redfish", options=options, port=9)
    assert "CA file" in problem(answer, 400, "options.verify")["detail"]


def test_a_test_says_of_an_unproven_controller_that_it_can_fence_nobody(
    centre: Centre, admin: APIClient
) -> None:
    row = enter(admin, centre, driver="fence-agent", options=PDU).json()["id"]
    op = FenceOperation.objects.get(kind="check", host=centre.node1)
    FenceOperation.objects.filter(pk=op.pk).update(state="acting")
    op.refresh_from_db()
    advance_check(op)
    assert PowerController.objects.get(pk=row).identity == Identity.UNPROVEN
    told = admin.get(f"{API}/operations/fence-{op.pk}/").json()
    assert "it can fence nobody" in str(told)
