"""Wrong input over the API: a clear problem that names field and cure, and nothing changed."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from fencing.models import PowerController
from hosts.models import Cluster, Host
from tests.api.conftest import API, Centre, problem
from vms.models import Vm

NEW_HOST = {"name": "node9", "uri": "qemu+tls://node9/system"}
NEW_VM = {"name": "new1", "memory_mib": 1024, "vcpus": 1}
NEW_BMC = {"address": "192.0.2.9", "username": "admin", "password": "secret"}

# What is posted where -> the field that must be named.
BAD = [
    ("hosts", NEW_HOST | {"name": "node1"}, "name"),
    ("hosts", NEW_HOST | {"uri": "qemu+tls://node1/system"}, "uri"),
    ("hosts", NEW_HOST | {"uri": "qemu+ssh://node9/system?command=/bin/sh"}, "uri"),
    ("hosts", NEW_HOST | {"uri": "test+tcp://127.0.0.1/default"}, "uri"),
    ("hosts", NEW_HOST | {"cluster": 999}, "cluster"),
    ("hosts", NEW_HOST | {"name": ""}, "name"),
    ("hosts", NEW_HOST | {"status": "up"}, "status"),
    ("hosts", NEW_HOST | {"policy": {"grace": 1}}, "policy.grace"),
    ("vms", NEW_VM | {"memory_mib": -1}, "memory_mib"),
    ("vms", NEW_VM | {"vcpus": 0}, "vcpus"),
    ("vms", NEW_VM | {"cluster": 999}, "cluster"),
    ("vms", NEW_VM | {"state": "up"}, "state"),
    ("vms", NEW_VM | {"colour": "blue"}, "colour"),
    ("vms", NEW_VM | {"xml": "<domain><name>other</name></domain>"}, "xml"),
    ("vms", NEW_VM | {"priority": 500}, "priority"),
    ("clusters", {"name": "main"}, "name"),
    ("clusters", {"name": "new", "policy": {"grace": 0}}, "policy.grace"),
    ("clusters", {"name": "new", "policy": {"grase": 5}}, "policy.grase"),
    ("clusters", {"name": "new", "mode": "armed"}, "mode"),
    ("power-controllers", NEW_BMC | {"port": 70000}, "port"),
    ("power-controllers", NEW_BMC | {"address": "-oProxy=x y"}, "address"),
    ("power-controllers", NEW_BMC | {"driver": "magic"}, "driver"),
    ("power-controllers", {"address": "192.0.2.9", "username": "a"}, "password"),
]


def counts() -> tuple[int, ...]:
    """Return how many rows there are."""
    models: tuple[Any, ...] = (Cluster, Host, Vm, PowerController)
    return tuple(model.objects.count() for model in models)


@pytest.mark.parametrize(("resource", "fields", "field"), BAD)
def test_bad_input_names_its_field_and_enters_nothing(
    resource: str, fields: dict[str, Any], field: str, centre: Centre, admin: APIClient
) -> None:
    whole = dict(fields)
    if resource in ("hosts", "vms"):
        whole.setdefault("cluster", centre.cluster.pk)
    if resource == "power-controllers":
        whole["host"] = centre.node1.pk
    before = counts()
    told = problem(admin.post(f"{API}/{resource}/", whole, format="json"), 400)
    assert field in [error["field"] for error in told["errors"]]
    assert counts() == before


def test_a_vm_name_is_taken_once_per_cluster(centre: Centre, admin: APIClient) -> None:
    fields = NEW_VM | {"name": "db1", "cluster": centre.cluster.pk}
    problem(admin.post(f"{API}/vms/", fields, format="json"), 400)
    fields["cluster"] = centre.other.pk
    assert admin.post(f"{API}/vms/", fields, format="json").status_code == 201


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff\xfe"])
def test_a_broken_body_is_no_server_error(body: bytes, centre: Centre, admin: APIClient) -> None:
    problem(admin.post(f"{API}/hosts/", body, content_type="application/json"), 400)


def test_an_unknown_address_is_a_problem_too(centre: Centre, admin: APIClient) -> None:
    problem(admin.get(f"{API}/hosts/999/"), 404)
    problem(admin.get(f"{API}/operations/vm-999/"), 404)
    problem(admin.get(f"{API}/operations/?host=abc"), 400, "host")


def confirm(client: APIClient, host: Host, **fields: Any) -> Any:
    """Send a confirmation."""
    return client.post(f"{API}/hosts/{host.pk}/actions/confirm-rebooted/", fields, format="json")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"host_name": "node1", "reason": "I looked"}, "host_name"),
        ({"host_name": "NODE2", "reason": "I looked"}, "host_name"),
        ({"host_name": "node2", "reason": ""}, "reason"),
        ({"host_name": "node2", "reason": "   "}, "reason"),
        ({"host_name": "node2", "reason": " \u200b. "}, "reason"),
    ],
)
def test_a_confirmation_needs_the_exact_name_and_a_reason(
    fields: dict[str, str], field: str, centre: Centre, admin: APIClient
) -> None:
    problem(confirm(admin, centre.node2, **fields), 422, field)
    assert not centre.node2.fences.exists()


def test_a_host_that_answers_cannot_be_confirmed(centre: Centre, admin: APIClient) -> None:
    answer = confirm(admin, centre.node1, host_name="node1", reason="I looked")
    problem(answer, 422, "host")


def test_a_confirmation_becomes_an_operation(centre: Centre, admin: APIClient) -> None:
    answer = confirm(admin, centre.node2, host_name="node2", reason="I pulled its plug")
    assert answer.status_code == 202
    op = admin.get(answer["Location"]).json()
    assert (op["kind"], op["state"], op["target"]["name"]) == ("confirm", "requested", "node2")


def test_an_operator_may_confirm_and_may_not_override(centre: Centre, speaks: Any) -> None:
    word = {"host_name": "node2", "reason": "I looked"}
    client = speaks("operator", "host", centre.node2.pk)
    problem(confirm(client, centre.node2, **word, override=True), 403)
    assert not centre.node2.fences.exists()
    assert confirm(client, centre.node2, **word).status_code == 202
    problem(confirm(speaks("operator", "host", centre.node1.pk), centre.node2, **word), 404)


def test_an_unknown_power_action_is_refused(centre: Centre, admin: APIClient) -> None:
    path = f"{API}/hosts/{centre.node2.pk}/actions/fence/"
    problem(admin.post(path, {"action": "reset"}, format="json"), 400, "action")


def test_a_host_that_answers_is_not_switched_on(centre: Centre, admin: APIClient) -> None:
    PowerController.objects.create(host=centre.node1, address="192.0.2.1", username="a")
    path = f"{API}/hosts/{centre.node1.pk}/actions/fence/"
    problem(admin.post(path, {"action": "on"}, format="json"), 409)
    assert not centre.node1.fences.exists()


def test_a_host_without_a_bmc_is_not_fenced(centre: Centre, admin: APIClient) -> None:
    path = f"{API}/hosts/{centre.node1.pk}/actions/fence/"
    problem(admin.post(path, {"action": "off"}, format="json"), 409)
