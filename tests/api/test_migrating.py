"""Migrating over REST: where to, why not, and taking it back."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.conftest import API, Centre, add_host
from vms.models import Run, Vm


@pytest.fixture(autouse=True)
def _another_host(centre: Centre) -> None:
    add_host("node3", centre.cluster)


def migrate(client: APIClient, centre: Centre, **fields: Any) -> Any:
    return client.post(f"{API}/vms/{centre.db1.pk}/actions/migrate/", fields, format="json")


def test_a_vm_is_migrated_to_the_host_that_the_portal_chooses(
    centre: Centre, admin: APIClient
) -> None:
    answer = migrate(admin, centre)
    assert answer.status_code == 202, answer.content
    run = Run.objects.get(vm=centre.db1, ended_at__isnull=True)
    assert run.migrating_to is not None
    assert run.migrating_to != run.host
    shown = admin.get(f"{API}/operations/?kind=migrate").json()["results"]
    assert [row["kind"] for row in shown] == ["migrate"]


def test_a_refusal_names_what_each_host_lacks(centre: Centre, admin: APIClient) -> None:
    Vm.objects.filter(pk=centre.db1.pk).update(memory_mib=10**8)
    answer = migrate(admin, centre)
    assert answer.status_code == 409
    told = answer.json()
    assert "MiB" in told["detail"]
    assert told["cure"]
    assert not Run.objects.filter(migrating_to__isnull=False).exists()


def test_a_vm_that_moves_is_not_stopped_and_its_migration_can_be_cancelled(
    centre: Centre, admin: APIClient
) -> None:
    assert migrate(admin, centre).status_code == 202
    stopped = admin.post(f"{API}/vms/{centre.db1.pk}/actions/stop/", {}, format="json")
    assert stopped.status_code == 409
    assert "being migrated" in stopped.json()["detail"]
    slug = admin.get(f"{API}/operations/?kind=migrate").json()["results"][0]["id"]
    answer = admin.post(f"{API}/operations/{slug}/actions/cancel/", {}, format="json")
    assert answer.status_code == 200, answer.content
