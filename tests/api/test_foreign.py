"""Hosts and BMCs that are not what was entered: told with a cure, and nothing is done to them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rest_framework.test import APIClient

from fencing.models import PowerController
from fencing.power import install as install_power
from portal.core.models import Role
from tests.api.conftest import API, add_person, problem
from tests.vms.world import World, a_world


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    """Two machines in memory that the portal knows; the driver “ipmi” reaches their BMCs."""
    with a_world("node1", "node2") as made:
        install_power("ipmi", made.power)
        made.run(6)
        yield made
        install_power("ipmi", None)


@pytest.fixture
def client(world: World) -> APIClient:
    """An administrator of everything."""
    made = APIClient()
    made.force_authenticate(add_person("ann", Role.ADMIN))
    return made


def rows(client: APIClient, query: str) -> list[dict[str, Any]]:
    """Return a list's rows."""
    found: list[dict[str, Any]] = client.get(f"{API}/{query}").json()["results"]
    return found


def test_the_bmc_of_another_machine_is_told_and_never_used(world: World, client: APIClient) -> None:
    node1 = world.host("node1")
    PowerController.objects.filter(host__name="node2").delete()
    whole = {"address": "node2", "username": "admin", "password": "secret", "level": 2}
    row = PowerController.objects.create(host=node1, **whole).pk  # its cable was moved since
    asked = client.post(f"{API}/power-controllers/{row}/actions/test/", {}, format="json")
    assert asked.status_code == 202

    world.run(10)

    told = client.get(f"{API}/power-controllers/{row}/").json()
    assert told["identity"] == "foreign"
    assert {"id": row, "identity": "foreign"}.items() <= next(
        item for item in client.get(f"{API}/hosts/{node1.pk}/").json()["power"] if item["id"] == row
    ).items()
    (alert,) = rows(client, "alerts/?kind=bmc_foreign&open=true")
    assert alert["host"] == node1.pk
    assert "Correct the address" in alert["cure"]
    assert world.called("off") == world.called("on") == []
    assert world.bmcs["node2"].on


def test_a_test_that_reaches_another_machines_bmc_says_so(world: World, client: APIClient) -> None:
    world.power.swap(("node1", 623), ("node2", 623))
    row = PowerController.objects.get(host__name="node1").pk
    asked = client.post(f"{API}/power-controllers/{row}/actions/test/", {}, format="json")
    world.run(5)
    op = client.get(asked["Location"]).json()
    assert op["state"] == "failed"
    assert "another machine" in op["error"]["text"]
    assert "Correct the address" in op["error"]["cure"]


def test_a_bmc_that_another_controller_reaches_is_refused(world: World, client: APIClient) -> None:
    theirs = PowerController.objects.get(host__name="node2")
    PowerController.objects.filter(pk=theirs.pk).update(driver="ipmi", address="192.0.2.2")
    whole = {"host": world.host("node1").pk, "username": "admin", "password": "secret"}
    for address in ("192.0.2.2", " 192.0.2.2 ", "[::ffff:192.0.2.2]"):
        answer = client.post(
            f"{API}/power-controllers/", whole | {"address": address}, format="json"
        )
        told = problem(answer, 400, "address")
        assert "edit that controller" in told["detail"]
    mine = PowerController.objects.get(host__name="node1")
    PowerController.objects.filter(pk=mine.pk).update(driver="ipmi")
    answer = client.patch(
        f"{API}/power-controllers/{mine.pk}/",
        {"address": "192.0.2.2"},
        format="json",
        headers={"If-Match": "*"},
    )
    problem(answer, 400, "address")
    assert PowerController.objects.get(pk=mine.pk).address == "node1"


def test_a_controller_may_be_edited_where_it_is(world: World, client: APIClient) -> None:
    mine = PowerController.objects.get(host__name="node1")
    PowerController.objects.filter(pk=mine.pk).update(driver="ipmi")
    path = f"{API}/power-controllers/{mine.pk}/"
    whole = {"address": "NODE1.", "level": 3}
    answer = client.patch(path, whole, format="json", headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.content
    assert answer.json()["address"] == "node1"


def test_a_vm_stamped_by_another_installation_stops_every_start_and_says_so(
    world: World, client: APIClient
) -> None:
    vm = world.started("vm1")
    home = world.copies(vm)[0]
    guest = world.hosts[home].guests[vm.uuid]
    assert guest.stamp is not None
    stamp = replace(guest.stamp, installation="somebody-else")
    world.hosts[home].guests[vm.uuid] = replace(guest, stamp=stamp)

    world.run(10)

    (alert,) = rows(client, "alerts/?kind=forgetful_database&open=true")
    assert home in alert["text"]
    assert "another installation" in alert["text"]
    assert "another portal" in alert["cure"]
    other = world.add_vm("vm2")
    told = problem(client.post(f"{API}/vms/{other.pk}/actions/start/", {}, format="json"), 409)
    assert "another installation" in told["detail"]
    assert world.called("off") == []


@pytest.mark.parametrize(
    "address",
    ["[[[", "a b", "192.0.2.9:623", "http://a", "-a", "a_b", "127.1", "[::1", "::1]", "a/b", "a,b",
     "[]", "", ".", "é", "fe80::1%eth0"],
)  # fmt: skip
def test_a_bmc_address_is_a_name_or_an_address(
    address: str, world: World, client: APIClient
) -> None:
    whole = {"host": world.host("node1").pk, "username": "a", "password": "b", "address": address}
    before = PowerController.objects.count()
    problem(client.post(f"{API}/power-controllers/", whole, format="json"), 400, "address")
    assert PowerController.objects.count() == before


@pytest.mark.parametrize("port", [0, -1, 65536, 99999, 10**30, "x", 1.5, True, None])
def test_a_bmc_port_is_one(port: object, world: World, client: APIClient) -> None:
    whole = {"host": world.host("node1").pk, "username": "a", "password": "b", "address": "x"}
    answer = client.post(f"{API}/power-controllers/", whole | {"port": port}, format="json")
    problem(answer, 400, "port")


@pytest.mark.parametrize(
    ("address", "kept"),
    [("BMC1.Example.", "bmc1.example"), ("[2001:DB8:0::1]", "2001:db8::1"), ("2001:db8::1",) * 2],
)
def test_a_bmc_address_is_kept_in_one_spelling(
    address: str, kept: str, world: World, client: APIClient
) -> None:
    world.power.add(kept, 623)
    whole = {"host": world.host("node1").pk, "username": "admin", "password": "secret"}
    answer = client.post(f"{API}/power-controllers/", whole | {"address": address}, format="json")
    assert answer.status_code == 201, answer.content
    assert answer.json()["address"] == kept
