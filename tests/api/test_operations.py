"""Operations: found, taken back while nothing is touched, asked for again; engines, incidents."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from fencing.models import FenceOperation, HaResource
from fencing.services import power
from hosts.models import Cluster, Engine, Host
from portal.core.models import Event, Operation
from portal.lib import clock
from portal.lib.ha.states import HaState
from tests.api.conftest import API, Centre, problem
from tests.api.full import Full, full, slug
from vms.models import Vm, VmOperation

__all__ = ["full"]


def act(client: APIClient, op: Operation, verb: str) -> Any:
    """Press a button of an operation."""
    return client.post(f"{API}/operations/{slug(op)}/actions/{verb}/", {}, format="json")


def post(client: APIClient, path: str, fields: Any = None) -> Any:
    """Post to the API."""
    return client.post(f"{API}/{path}/", fields or {}, format="json")


def ids(client: APIClient, query: str) -> list[str]:
    """Return the operations that a query finds."""
    answer = client.get(f"{API}/operations/?{query}")
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_operations_are_searched_and_ordered_by_time(full: Full, admin: APIClient) -> None:
    for minutes, op in enumerate((full.fence_op, full.vm_op, full.host_op)):
        at = clock.now() - timedelta(minutes=minutes)
        type(op)._default_manager.filter(pk=op.pk).update(requested_at=at)
    newest = [slug(op) for op in (full.fence_op, full.vm_op, full.host_op)]
    assert ids(admin, "ordering=-requested_at") == ids(admin, "") == newest
    assert ids(admin, "ordering=requested_at") == newest[::-1]
    assert ids(admin, "ordering=requested_at&page_size=1&page=2") == [newest[1]]
    assert ids(admin, "search=node1 probe") == [slug(full.host_op)]
    assert ids(admin, "search=db1") == [slug(full.vm_op)]
    since = (clock.now() - timedelta(seconds=90)).isoformat().replace("+00:00", "Z")
    assert ids(admin, f"since={since}") == newest[:2]
    for query, field in (("ordering=kind", "ordering"), ("since=soon", "since")):
        problem(admin.get(f"{API}/operations/?{query}"), 400, field)


def test_a_shutdown_that_nobody_has_begun_is_taken_back_with_its_wish(
    centre: Centre, admin: APIClient
) -> None:
    post(admin, f"vms/{centre.db1.pk}/actions/shutdown")
    op = VmOperation.objects.get()
    assert not Vm.objects.get(pk=centre.db1.pk).wanted_up
    answer = act(admin, op, "cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert Vm.objects.get(pk=centre.db1.pk).wanted_up
    told = Event.objects.get(kind="operation.cancelled")
    assert (told.actor, told.vm) == ("admin-all-0", centre.db1.pk)
    assert "cancelled already" in problem(act(admin, op, "cancel"), 409)["detail"]


@pytest.mark.parametrize("state", ["acting", "waiting"])
def test_what_may_have_reached_the_host_is_not_taken_back(
    state: str, centre: Centre, admin: APIClient
) -> None:
    post(admin, f"vms/{centre.db1.pk}/actions/stop")
    VmOperation.objects.update(state=state)
    problem(act(admin, VmOperation.objects.get(), "cancel"), 409)
    assert VmOperation.objects.get().state == state


def test_a_start_belongs_to_its_run_and_is_stopped_instead(
    centre: Centre, admin: APIClient
) -> None:
    op = VmOperation.objects.create(
        vm=centre.db1,
        host=centre.node1,
        kind="start",
        requested_at=clock.now(),
        due_at=clock.now(),
        run=centre.db1.runs.get(),
    )
    assert "Stop the VM" in problem(act(admin, op, "cancel"), 409)["cure"]


def a_fence(centre: Centre, by: str, **more: Any) -> FenceOperation:
    """Return an open fence of node2."""
    HaResource.objects.filter(host=centre.node2).update(state=HaState.FENCING)
    op = power.ask("fence", centre.node2.pk, now=clock.now(), by=by)
    FenceOperation.objects.filter(pk=op.pk).update(**more)
    return FenceOperation.objects.get(pk=op.pk)


def test_a_fence_asked_by_hand_is_taken_back_before_its_command(
    centre: Centre, admin: APIClient
) -> None:
    op = a_fence(centre, "ann", state="waiting", attempt=3)
    assert act(admin, op, "cancel").json()["state"] == "cancelled"
    assert HaResource.objects.get(host=centre.node2).state == HaState.AVAILABLE


@pytest.mark.parametrize(
    "more",
    [
        {"state": "waiting", "data": {"commanded": True}},
        {"state": "waiting", "step": "read"},
        {"state": "acting", "step": "identify"},
    ],
)
def test_a_fence_whose_command_may_be_on_its_way_goes_on(
    more: Any, centre: Centre, admin: APIClient
) -> None:
    op = a_fence(centre, "ann", **more)
    problem(act(admin, op, "cancel"), 409)
    op.refresh_from_db()
    assert op.is_open
    assert HaResource.objects.get(host=centre.node2).state == HaState.FENCING


def test_a_fence_that_ha_wants_ends_only_where_ha_no_longer_acts(
    centre: Centre, admin: APIClient
) -> None:
    op = a_fence(centre, "portal")
    assert "observe" in problem(act(admin, op, "cancel"), 409)["cure"]
    Cluster.objects.filter(pk=centre.cluster.pk).update(mode="observe")
    assert act(admin, op, "cancel").status_code == 200


def test_what_failed_is_asked_for_again_as_a_new_operation(full: Full, admin: APIClient) -> None:
    for op, kind in ((full.vm_op, "stop"), (full.fence_op, "check")):
        answer = act(admin, op, "retry")
        assert answer.status_code == 202, answer.content
        again = admin.get(answer["Location"]).json()
        assert (again["kind"], again["requested_by"]) == (kind, "admin-all-0")
        assert again["id"] != slug(op)
        assert again["state"] == "requested"


def test_what_succeeded_or_needs_a_word_anew_is_not_retried(full: Full, admin: APIClient) -> None:
    problem(act(admin, full.host_op, "retry"), 409)
    FenceOperation.objects.filter(pk=full.fence_op.pk).update(kind="confirm", state="refused")
    assert "Confirm" in problem(act(admin, full.fence_op, "retry"), 409)["cure"]
    VmOperation.objects.filter(pk=full.vm_op.pk).update(kind="settle")
    problem(act(admin, full.vm_op, "retry"), 409)


def test_an_engine_lives_while_it_beats_and_leads_while_it_holds_the_lease(
    full: Full, admin: APIClient
) -> None:
    now = clock.now()
    Engine.objects.create(
        name="engine", epoch=1, started_at=now, beat_at=now - timedelta(minutes=1)
    )
    rows = {row["name"]: row for row in admin.get(f"{API}/engines/").json()["results"]}
    told = {name: (row["alive"], row["leader"], row["epoch"]) for name, row in rows.items()}
    assert told == {"engine": (False, False, 1), "engine1": (True, True, 3)}
    assert rows["engine"]["beat_age_s"] > 59
    assert [lease["name"] for lease in rows["engine1"]["leases"]] == ["beat"]


def test_an_engine_tells_how_many_hosts_it_looks_at_and_whether_it_hears_them(
    full: Full, admin: APIClient
) -> None:
    row = full.host_op.host
    Host.objects.filter(pk=row.pk).update(owner="engine1")
    HaResource.objects.get_or_create(host=row, defaults={"since": clock.now()})
    Engine.objects.filter(name="engine1").update(deaf_since=clock.now() - timedelta(seconds=9))
    found = admin.get(f"{API}/engines/?name=engine1").json()["results"][0]
    assert (found["hosts_owned"], found["deaf"]) == (1, True)
    assert admin.get(f"{API}/hosts/{row.pk}/").json()["ha"]["owner"] == "engine1"
    Engine.objects.filter(name="engine1").update(deaf_since=None)
    assert admin.get(f"{API}/engines/?name=engine1").json()["results"][0]["deaf"] is False


def test_it_stays_on_record_who_has_seen_an_incident(full: Full, admin: APIClient) -> None:
    path = f"incidents/{full.incident.pk}"
    assert admin.get(f"{API}/incidents/?acknowledged=false").json()["count"] == 1
    answer = post(admin, f"{path}/actions/acknowledge", {"text": "on my way"})
    assert answer.status_code == 200, answer.content
    found = admin.get(f"{API}/{path}/").json()
    assert (found["acknowledged_by"], found["acknowledged_text"]) == ("admin-all-0", "on my way")
    assert found["acknowledged_at"]
    assert "incident.acknowledged" in [line["kind"] for line in found["timeline"]]
    assert admin.get(f"{API}/incidents/?acknowledged=false").json()["count"] == 0
    assert admin.get(f"{API}/incidents/?acknowledged=true").json()["count"] == 1
