"""ETags, idempotency keys, and what editing leaves alone."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from fencing.models import PowerController
from hosts.models import Host, HostOperation
from portal.core.models import Event, IdempotencyKey
from portal.lib import clock
from tests.api.conftest import API, Centre, problem
from vms.models import Vm


def patch(client: APIClient, path: str, fields: Any, match: str | None = None) -> Any:
    """Send a change, with If-Match where one is given."""
    headers = {"If-Match": match} if match is not None else {}
    return client.patch(f"{API}/{path}/", fields, format="json", headers=headers)


def test_a_change_without_if_match_is_refused(centre: Centre, admin: APIClient) -> None:
    answer = patch(admin, f"clusters/{centre.cluster.pk}", {"name": "x"})
    problem(answer, 428, "If-Match")


def test_the_second_of_two_editors_is_told(centre: Centre, admin: APIClient) -> None:
    path = f"clusters/{centre.cluster.pk}"
    etag = admin.get(f"{API}/{path}/")["ETag"]
    first = patch(admin, path, {"policy": {"grace": 20}}, etag)
    assert first.status_code == 200
    assert first["ETag"] != etag
    problem(patch(admin, path, {"policy": {"grace": 60}}, etag), 412, "If-Match")
    centre.cluster.refresh_from_db()
    assert centre.cluster.policy == {"grace": 20}


def test_what_is_observed_of_a_host_does_not_disturb_its_editor(
    centre: Centre, admin: APIClient
) -> None:
    path = f"hosts/{centre.node1.pk}"
    etag = admin.get(f"{API}/{path}/")["ETag"]
    Host.objects.filter(pk=centre.node1.pk).update(status="connecting", missed=1)
    assert patch(admin, path, {"policy": {"grace": 30}}, etag).status_code == 200


@pytest.mark.parametrize("field", ["status", "last_seen", "ha", "memory_mib", "version"])
def test_observed_fields_of_a_host_cannot_be_written(
    field: str, centre: Centre, admin: APIClient
) -> None:
    answer = patch(admin, f"hosts/{centre.node1.pk}", {field: 1}, "*")
    told = problem(answer, 400, field)
    assert "read-only" in told["detail"]


def test_a_vms_ha_settings_can_be_changed_and_its_size_cannot(
    centre: Centre, admin: APIClient
) -> None:
    path = f"vms/{centre.db1.pk}"
    answer = patch(admin, path, {"ha": False, "priority": 90, "start_tier": 1}, "*")
    assert answer.status_code == 200, answer.content
    vm = Vm.objects.get(pk=centre.db1.pk)
    assert (vm.ha, vm.priority, vm.start_tier) == (False, 90, 1)
    problem(patch(admin, path, {"memory_mib": 1}, "*"), 400, "memory_mib")


def test_a_bmc_password_goes_in_and_never_comes_out(centre: Centre, admin: APIClient) -> None:
    row = PowerController.objects.get()
    path = f"power-controllers/{row.pk}"
    PowerController.objects.update(state="off", off_reads=5, identity="proven")
    answer = patch(admin, path, {"password": "another-secret"}, admin.get(f"{API}/{path}/")["ETag"])
    assert answer.status_code == 200, answer.content
    assert b"another-secret" not in answer.content
    assert b"secret" not in admin.get(f"{API}/power-controllers/").content
    row.refresh_from_db()
    assert row.password == "another-secret"
    assert (row.state, row.off_reads, row.identity) == ("unknown", 0, "unproven")
    assert not Event.objects.filter(evidence__icontains="another-secret").exists()
    assert not Event.objects.filter(text__icontains="another-secret").exists()


def test_a_bmc_address_is_changed_only_as_it_was_read(centre: Centre, admin: APIClient) -> None:
    row = PowerController.objects.get()
    problem(patch(admin, f"power-controllers/{row.pk}", {"port": 624}, '"77"'), 412)
    row.refresh_from_db()
    assert row.port == 623


def test_an_empty_host_can_be_removed_and_one_with_runs_cannot(
    centre: Centre, admin: APIClient
) -> None:
    Host.objects.filter(pk__in=[centre.far1.pk, centre.node1.pk]).update(status="maintenance")
    assert admin.delete(f"{API}/hosts/{centre.far1.pk}/").status_code == 204
    problem(admin.delete(f"{API}/hosts/{centre.node1.pk}/"), 409)
    problem(admin.delete(f"{API}/clusters/{centre.cluster.pk}/"), 409)
    assert Host.objects.filter(name="node1").exists()


def probe(client: APIClient, host: Host, key: str, fields: Any = None) -> Any:
    """Ask for a look under a key."""
    path = f"{API}/hosts/{host.pk}/actions/probe/"
    return client.post(path, fields or {}, format="json", headers={"Idempotency-Key": key})


def test_the_same_key_acts_once(centre: Centre, admin: APIClient) -> None:
    first = probe(admin, centre.node1, "k1")
    second = probe(admin, centre.node1, "k1")
    assert (first.status_code, second.status_code) == (202, 202)
    assert second["Location"] == first["Location"]
    assert second["Idempotency-Replayed"] == "true"
    assert second.json() == first.json()
    assert HostOperation.objects.count() == 1


def test_the_same_key_for_another_request_is_refused(centre: Centre, admin: APIClient) -> None:
    probe(admin, centre.node1, "k1")
    problem(probe(admin, centre.far1, "k1"), 422, "Idempotency-Key")
    assert HostOperation.objects.count() == 1


def test_keys_belong_to_one_person_and_last_a_day(
    centre: Centre, admin: APIClient, speaks: Any
) -> None:
    probe(admin, centre.node1, "k1")
    probe(speaks("operator"), centre.node1, "k1")
    assert HostOperation.objects.count() == 2
    IdempotencyKey.objects.update(at=clock.now() - timedelta(hours=25))
    probe(admin, centre.node1, "k1")
    assert HostOperation.objects.count() == 3


def test_a_refusal_may_be_tried_again_under_its_key(centre: Centre, admin: APIClient) -> None:
    path = f"{API}/vms/{centre.idle1.pk}/actions/stop/"
    headers = {"Idempotency-Key": "k1"}
    problem(admin.post(path, {}, format="json", headers=headers), 409)
    assert not IdempotencyKey.objects.exists()
