"""What a VM starts after: by id or name, in its own cluster, and never in a circle."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.conftest import API, Centre, problem
from tests.api.test_editing import patch
from vms.models import Vm


@pytest.fixture
def other(centre: Centre) -> Vm:
    """Another VM of the same cluster."""
    fields = {"name": "web7", "uuid": "00000000-0000-4000-8000-0000000000f7", "memory_mib": 512}
    return Vm.objects.create(
        cluster=centre.cluster, vcpus=1, state_since=centre.db1.state_since, **fields
    )


def _first(client: APIClient, vm: Vm, first: list[Any]) -> Any:
    return patch(client, f"vms/{vm.pk}", {"starts_after": first, "start_delay_s": 5}, "*")


def test_a_vm_starts_after_others_told_by_name_or_id(
    centre: Centre, other: Vm, admin: APIClient
) -> None:
    for told in (other.name, other.pk, str(other.pk)):
        answer = _first(admin, centre.db1, [told, other.pk])
        assert answer.status_code == 200, answer.content
        assert (answer.json()["starts_after"], answer.json()["start_delay_s"]) == ([other.pk], 5)
    assert _first(admin, centre.db1, []).json()["starts_after"] == []


def test_a_circle_is_refused_by_name(centre: Centre, other: Vm, admin: APIClient) -> None:
    told = problem(_first(admin, other, [other.name]), 400, "starts_after")
    assert "in a circle: web7 after web7" in told["detail"]
    assert _first(admin, centre.db1, [other.name]).status_code == 200
    told = problem(_first(admin, other, [centre.db1.name]), 400, "starts_after")
    assert "in a circle: web7 after db1 after web7" in told["detail"]


@pytest.mark.parametrize("told", ["nobody", 0, -1, "9" * 5000, {"a": 1}, [1], True])
def test_what_is_no_vm_of_the_cluster_is_named(told: Any, centre: Centre, admin: APIClient) -> None:
    problem(_first(admin, centre.db1, [told]), 400, "starts_after")
    assert admin.get(f"{API}/vms/{centre.db1.pk}/").json()["starts_after"] == []
