"""What if a host died, what a cluster can lose, and fire drills, over the API."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from fencing.domain.facts import Identity
from fencing.models import FenceOperation, PowerController
from fencing.services import capacity
from hosts.models import Host
from portal.core.models import OperationState
from portal.lib import clock
from tests.api.conftest import API, Centre, Speaks, add_host, problem
from vms.models import Vm


def what_if(client: APIClient, host: Host) -> Any:
    return client.get(f"{API}/hosts/{host.pk}/what-if/")


def test_a_viewer_is_told_what_would_become_of_a_host_and_its_vms(
    centre: Centre, speaks: Speaks
) -> None:
    add_host("node3", centre.cluster)
    answer = what_if(speaks("viewer"), centre.node1)
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["host"] == {"id": centre.node1.pk, "name": "node1"}
    assert told["handling"] == "asked"
    assert "no power controller" in told["text"]
    assert [course["row"] for course in told["courses"]] == [8, 8, 8]
    (fate,) = told["vms"]
    assert fate["vm"]["name"] == "db1"
    assert fate["home"]["name"] == "node3"
    assert fate["restarts"]
    assert told["expected_s"]["proven_off"] is None


def test_what_a_viewer_of_one_host_may_not_see_is_not_named(centre: Centre, speaks: Speaks) -> None:
    add_host("node3", centre.cluster)
    told = what_if(speaks("viewer", "host", centre.node1.pk), centre.node1)
    assert told.status_code == 200
    (fate,) = told.json()["vms"]
    assert fate["restarts"]
    assert fate["home"] is None
    for hidden in ("node2", "node3", "web1"):
        assert hidden not in told.content.decode()


def test_another_host_and_a_stranger_are_told_nothing(centre: Centre, speaks: Speaks) -> None:
    problem(what_if(speaks("viewer", "host", centre.node1.pk), centre.node2), 404)
    problem(what_if(speaks("viewer", "vm", centre.db1.pk), centre.node1), 404)
    problem(what_if(speaks("stranger"), centre.node1), 403)
    problem(what_if(speaks(), centre.node1), 401)


def test_a_cluster_says_what_it_can_lose_as_last_worked_out(centre: Centre, speaks: Speaks) -> None:
    client, path = speaks("viewer"), f"{API}/clusters/{centre.cluster.pk}/"
    assert client.get(path).json()["ha_reservation"] is None
    capacity.check(centre.cluster.pk, clock.now())
    told = client.get(path).json()["ha_reservation"]
    assert told["ok"] is False  # node2 is silent: nowhere else to go
    assert told["unplaced"][0] == {
        "host": "node1", "host_id": centre.node1.pk, "vms": ["db1"], "count": 1,
    }  # fmt: skip
    assert told["text"][0] == "If node1 dies, 1 VM has no home: db1"
    assert told["memory_mib"] == {"total": 16384, "used": 1024, "free": 15360}
    assert told["checked_at"].endswith("Z")


def test_a_cluster_that_was_edited_keeps_its_reservation_read_only(
    centre: Centre, admin: APIClient
) -> None:
    fields = {"ha_reservation": {"ok": True}}
    answer = admin.patch(
        f"{API}/clusters/{centre.cluster.pk}/", fields, format="json", headers={"If-Match": "*"}
    )
    problem(answer, 400, "ha_reservation")


@pytest.fixture
def resting(centre: Centre) -> Host:
    """A host in maintenance that answers, marked, with a BMC of proven identity."""
    Vm.objects.all().update(wanted_up=False)
    host = add_host("spare1", centre.cluster)
    Host.objects.filter(pk=host.pk).update(
        status="maintenance", wanted="maintenance", boot_marker="0123abcd", last_seen=clock.now()
    )
    PowerController.objects.create(
        host=host, address="192.0.2.9", username="admin", password="bmc", identity=Identity.PROVEN,
        state="on", asked_at=clock.now(), answered_at=clock.now(),
    )  # fmt: skip
    return host


def drill(client: APIClient, host: Host) -> Any:
    return client.post(f"{API}/hosts/{host.pk}/actions/fire-drill/", {}, format="json")


def test_an_administrator_asks_for_a_drill_and_can_watch_it(
    resting: Host, admin: APIClient
) -> None:
    answer = drill(admin, resting)
    assert answer.status_code == 202, answer.content
    watched = admin.get(answer["Location"]).json()
    assert (watched["kind"], watched["target"]["name"]) == ("drill", "spare1")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_administrator_may_cut_the_power_for_a_drill(
    role: str, resting: Host, speaks: Speaks
) -> None:
    problem(drill(speaks(role), resting), 403)
    assert not FenceOperation.objects.exists()


def test_a_host_that_works_is_not_drilled(centre: Centre, admin: APIClient) -> None:
    told = problem(drill(admin, centre.node1), 409)
    assert "maintenance" in told["cure"]
    assert not FenceOperation.objects.filter(kind="drill").exists()


def test_a_host_in_a_drill_is_not_activated_over_the_api(resting: Host, admin: APIClient) -> None:
    assert drill(admin, resting).status_code == 202
    path = f"{API}/hosts/{resting.pk}/actions"
    told = problem(admin.post(f"{path}/activate/", {}, format="json"), 409)
    assert "fire drill" in told["detail"]
    assert Host.objects.get(pk=resting.pk).wanted == "maintenance"
    assert admin.post(f"{path}/maintenance/", {}, format="json").status_code == 202
    problem(admin.post(f"{path}/fence/", {"action": "on"}, format="json"), 409)
    FenceOperation.objects.update(state=OperationState.DONE)
    assert admin.post(f"{path}/activate/", {}, format="json").status_code == 202


def _past(host: Host, days: int, *, passed: bool) -> None:
    at = clock.now() - timedelta(days=days)
    result = {"passed": passed, "seconds": 65.2, "steps": [{"name": "identified", "seconds": 0.2}]}
    FenceOperation.objects.create(
        host=host, kind="drill", state="done" if passed else "failed", requested_at=at, due_at=at,
        ended_at=at, data={"result": result}, error_text="" if passed else "no answer",
        error_cure="" if passed else "Look at its console.",
    )  # fmt: skip


def test_a_host_shows_its_last_drill(resting: Host, admin: APIClient) -> None:
    path = f"{API}/hosts/{resting.pk}/"
    assert admin.get(path).json()["last_drill"] is None
    _past(resting, 3, passed=True)
    _past(resting, 1, passed=False)
    told = admin.get(path).json()["last_drill"]
    assert (told["passed"], told["seconds"], told["text"]) == (False, 65.2, "no answer")
    assert told["cure"] == "Look at its console."
    assert told["steps"] == [{"name": "identified", "seconds": 0.2}]


def test_drills_and_reservations_add_no_query_per_row(centre: Centre, admin: APIClient) -> None:
    def queries(path: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert admin.get(path).status_code == 200
        return len(caught)

    for path in (f"{API}/hosts/", f"{API}/clusters/"):
        before = queries(path)
        for number in range(3):
            host = add_host(f"more{number}{path[-3]}", centre.cluster)
            _past(host, 1, passed=True)
            _past(host, 2, passed=True)
        capacity.check(centre.cluster.pk, clock.now())
        assert queries(path) == before
