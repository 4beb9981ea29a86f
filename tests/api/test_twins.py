"""One machine entered twice, by any of its names: refused at once, or told by the first look."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from fencing.models import FenceOperation, HaResource
from hosts.models import Cluster, Host
from tests.api.conftest import API, Centre, Speaks, add_host, add_vm, problem
from tests.vms.conftest import either
from tests.vms.world import World, a_world

__all__ = ["either"]


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    """Two machines in memory, of which the portal knows both."""
    with a_world("node1", "node2") as made:
        made.run(6)
        yield made


def enter(client: APIClient, resource: str, **fields: Any) -> Any:
    """Post a new row."""
    return client.post(f"{API}/{resource}/", fields, format="json")


@pytest.mark.parametrize(
    "name",
    ["node1", "Node1", "NODE1", "node1\n", " node1\t", "node1\u00a0", "node1.", "node1\u200b",
     "n\u043ede1", "\u212aode1", "node1 ", "node1/", "-node1", "node 1", "node1\x7f"],
)  # fmt: skip
def test_a_host_is_not_entered_under_a_name_like_another_ones(
    name: str, centre: Centre, admin: APIClient
) -> None:
    before = Host.objects.count()
    answer = enter(admin, "hosts", name=name, uri="qemu+tls://n9/system", cluster=centre.cluster.pk)
    told = problem(answer, 400, "name")
    assert "name" in told["detail"] or "write letters" in told["detail"]
    assert Host.objects.count() == before


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+tls://node1/system", "QEMU+TLS://Node1/system", "qemu+tls://node1:16514/system",
        "qemu+tls://node1./system", "qemu+tls://NODE1.:16514/system", " qemu+tls://node1/system\n",
    ],
)  # fmt: skip
def test_a_host_is_not_entered_by_another_spelling_of_its_uri(
    uri: str, centre: Centre, admin: APIClient
) -> None:
    told = problem(enter(admin, "hosts", name="n9", uri=uri, cluster=centre.cluster.pk), 400, "uri")
    assert "qemu+tls://node1/system" in told["detail"]
    assert "edit that one" in told["detail"]
    changed = {"uri": uri}
    path = f"{API}/hosts/{centre.node2.pk}/"
    answer = admin.patch(path, changed, format="json", headers={"If-Match": "*"})
    problem(answer, 400, "uri")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "[::ffff:127.0.0.1]"]
)
def test_localhost_is_the_address_that_it_means(
    host: str, centre: Centre, admin: APIClient
) -> None:
    Host.objects.filter(pk=centre.far1.pk).update(uri="qemu+tcp://127.0.0.1/system")
    uri = f"qemu+tcp://{host}/system"
    answer = enter(admin, "hosts", name="n9", uri=uri, cluster=centre.cluster.pk)
    problem(answer, 400, "uri")


def test_a_host_may_be_renamed_in_its_own_letters(centre: Centre, admin: APIClient) -> None:
    path = f"{API}/hosts/{centre.node1.pk}/"
    whole = {"name": "Node1", "uri": "qemu+tls://NODE1/system"}
    answer = admin.patch(path, whole, format="json", headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.content
    assert answer.json()["uri"] == "qemu+tls://node1/system"


@pytest.mark.parametrize("name", ["main", "MAIN", " main ", "ma\u200bin", "main  2", "a\tb"])
def test_a_cluster_is_not_named_like_another(name: str, centre: Centre, admin: APIClient) -> None:
    problem(enter(admin, "clusters", name=name), 400, "name")
    assert enter(admin, "clusters", name="Halle 3 (Süd)").status_code == 201


@pytest.mark.parametrize(
    "name",
    ["db1", "DB1", "../a", "<b>", "a/b", "a\x01b", ".", "..", "a b", "-a", "é", "a\\b", "a;b"],
)
def test_a_vm_has_a_name_of_its_own_that_libvirt_takes(
    name: str, centre: Centre, admin: APIClient
) -> None:
    answer = enter(admin, "vms", name=name, memory_mib=1, vcpus=1, cluster=centre.cluster.pk)
    told = problem(answer, 400, "name")
    assert "write letters" in told["detail"] or "choose another" in told["detail"]


@pytest.mark.parametrize("name", ["db2", "win10_x64", "k8s-node.prod", "c++", "9"])
def test_usual_names_of_vms_are_taken(name: str, centre: Centre, admin: APIClient) -> None:
    answer = enter(admin, "vms", name=name, memory_mib=1, vcpus=1, cluster=centre.cluster.pk)
    assert answer.status_code == 201, answer.content


def test_the_database_itself_keeps_names_apart(either: str, centre: Centre) -> None:
    for make in (
        lambda: add_host("NODE1", centre.cluster),
        lambda: Cluster.objects.create(name="Main"),
        lambda: add_vm("Db1", centre.cluster),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            make()
    add_vm("Db1", centre.other)


def test_two_who_take_a_name_at_the_same_time_are_told_the_field(
    either: str, centre: Centre, admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the other one were entered between the check and the write.
    monkeypatch.setattr("rest_framework.validators.qs_exists", lambda rows: False)
    monkeypatch.setattr("hosts.serializers.HostSerializer.validate_uri", lambda _, uri: uri)
    fresh = {"name": "n9", "uri": "qemu+tls://n9/system", "cluster": centre.cluster.pk}
    for field, value in (("name", "NODE1"), ("uri", "qemu+tls://node1/system")):
        told = problem(enter(admin, "hosts", **(fresh | {field: value})), 409, field)
        assert field in told["cure"]


def test_a_machine_under_a_name_that_only_dns_knows_is_refused_by_its_first_look(
    world: World, speaks: Speaks
) -> None:
    world.hosts["alias"] = world.hosts["node1"]
    cluster = world.host("node1").cluster_id
    uri = "qemu+tls://alias/system"
    answer = enter(speaks("admin"), "hosts", name="alias", uri=uri, cluster=cluster)
    assert "is node1 already" in problem(answer, 400, "uri")["detail"]


def test_a_name_that_leads_to_another_host_later_is_told_and_never_used(
    world: World, speaks: Speaks
) -> None:
    admin = speaks("admin")
    row = world.add_host("alias")  # entered while its own machine was down
    world.hosts["alias"] = world.hosts["node1"]
    world.run(30)
    told = admin.get(f"{API}/hosts/{row.pk}/").json()
    assert (told["status"], told["host_uuid"]) == ("pending", "")
    assert "is node1 already" in told["status_reason"]
    assert world.host("node1").status == "up"
    assert HaResource.objects.filter(host=told["id"]).exists()
    assert not FenceOperation.objects.filter(host=told["id"]).exclude(kind="check").exists()
