"""What actions do: wishes, operations, starts that keep to the rules."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from fencing.models import FenceOperation, HaResource, Incident, PowerController
from fencing.services.incidents import open_incident, raise_alert
from hosts.models import Cluster, Host
from portal.core.models import Event
from portal.core.services import record_event
from portal.lib import clock
from tests.api.conftest import API, Centre, add_vm, problem
from vms.domain.states import EndReason, ProofKind
from vms.models import Run, Vm, VmOperation
from vms.services.runs import Evidence, close_run


def act(client: APIClient, path: str, **fields: Any) -> Any:
    """Post an action."""
    return client.post(f"{API}/{path}/", fields, format="json")


def test_the_schema_is_complete(tmp_path: Any) -> None:
    target = tmp_path / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(target))
    assert "confirm-rebooted" in target.read_text()


def test_documentation_and_schema_are_served(client: Any, db: None) -> None:
    docs = client.get("/api/docs/")
    assert docs.status_code == 200
    assert "'unsafe-inline'" in docs["Content-Security-Policy"]
    assert client.get("/api/schema/").status_code == 200


def test_a_cluster_is_armed_and_observed(centre: Centre, admin: APIClient) -> None:
    answer = act(admin, f"clusters/{centre.other.pk}/actions/arm")
    assert answer.json()["mode"] == "armed"
    act(admin, f"clusters/{centre.other.pk}/actions/observe")
    assert Cluster.objects.get(pk=centre.other.pk).mode == "observe"
    assert Event.objects.filter(kind="cluster.armed", actor="admin-all-0").count() == 1


def test_a_new_host_is_protected_and_pending(centre: Centre, admin: APIClient) -> None:
    fields = {"name": "n9", "uri": "QEMU+TLS://N9/system", "cluster": centre.cluster.pk}
    answer = admin.post(f"{API}/hosts/", fields, format="json")
    assert answer.status_code == 201
    assert answer.json()["uri"] == "qemu+tls://n9/system"
    assert answer.json()["ha"]["state"] == "available"
    assert answer.json()["status"] == "pending"


def test_maintenance_is_a_wish_with_an_operation(centre: Centre, admin: APIClient) -> None:
    answer = act(admin, f"hosts/{centre.node1.pk}/actions/maintenance")
    assert answer.status_code == 202
    assert admin.get(answer["Location"]).json()["state"] == "done"
    assert Host.objects.get(pk=centre.node1.pk).wanted == "maintenance"


def test_ha_is_switched_off_and_on(centre: Centre, admin: APIClient) -> None:
    act(admin, f"hosts/{centre.node1.pk}/actions/disable-ha")
    assert HaResource.objects.get(host=centre.node1).state == "disabled"
    act(admin, f"hosts/{centre.node1.pk}/actions/enable-ha")
    assert HaResource.objects.get(host=centre.node1).state == "available"


def test_a_fence_by_hand_is_an_operation(centre: Centre, admin: APIClient) -> None:
    answer = act(admin, f"hosts/{centre.node2.pk}/actions/fence", action="off")
    assert answer.json()["kind"] == "fence"
    assert FenceOperation.objects.get().requested_by == "admin-all-0"


def test_a_bmc_test_is_an_operation(centre: Centre, admin: APIClient) -> None:
    row = PowerController.objects.get()
    answer = act(admin, f"power-controllers/{row.pk}/actions/test")
    assert answer.json()["kind"] == "check"


def test_stopping_on_purpose_is_written_down_before_it_is_done(
    centre: Centre, admin: APIClient
) -> None:
    answer = act(admin, f"vms/{centre.db1.pk}/actions/shutdown")
    assert answer.status_code == 202
    assert Vm.objects.get(pk=centre.db1.pk).wanted_up is False
    op = VmOperation.objects.get()
    assert (op.kind, op.host_id, op.run) == ("shutdown", centre.node1.pk, Run.objects.get(vm=1))


def test_a_vm_that_does_not_run_cannot_be_stopped(centre: Centre, admin: APIClient) -> None:
    problem(act(admin, f"vms/{centre.idle1.pk}/actions/stop"), 409)
    assert not VmOperation.objects.exists()


def test_a_vm_that_waits_for_its_restart_stays_down_when_it_is_stopped(
    centre: Centre, admin: APIClient
) -> None:
    now = clock.now()
    evidence = Evidence(ProofKind.POWER_OFF, now, "proven off", EndReason.HOST_LOST)
    assert close_run(Run.objects.get(vm=centre.db1).pk, evidence, now)

    answer = act(admin, f"vms/{centre.db1.pk}/actions/stop")

    assert answer.status_code == 202, answer.content
    assert answer.json()["state"] == "done"
    assert Vm.objects.get(pk=centre.db1.pk).wanted_up is False


def test_a_start_opens_a_run_on_a_fit_host(centre: Centre, admin: APIClient) -> None:
    answer = act(admin, f"vms/{centre.idle1.pk}/actions/start")
    assert answer.status_code == 202, answer.content
    run = Run.objects.get(vm=centre.idle1)
    assert run.host == centre.node1
    assert Vm.objects.get(pk=centre.idle1.pk).wanted_up is True


def test_a_vm_with_an_open_run_is_never_started_again(centre: Centre, admin: APIClient) -> None:
    told = problem(act(admin, f"vms/{centre.web1.pk}/actions/start"), 409)
    assert "node2" in told["detail"]
    assert Run.objects.filter(vm=centre.web1).count() == 1


def test_a_quarantined_vm_is_not_started_until_it_is_released(
    centre: Centre, admin: APIClient
) -> None:
    Vm.objects.filter(pk=centre.idle1.pk).update(quarantined=True)
    problem(act(admin, f"vms/{centre.idle1.pk}/actions/start"), 409)
    answer = act(admin, f"vms/{centre.idle1.pk}/actions/release-quarantine")
    assert answer.json()["quarantined"] is False
    assert act(admin, f"vms/{centre.idle1.pk}/actions/start").status_code == 202


def test_a_silent_host_is_no_home(centre: Centre, admin: APIClient) -> None:
    path = f"vms/{centre.idle1.pk}/actions/start"
    told = problem(act(admin, path, host=centre.node2.pk), 409)
    assert "non_responsive" in told["detail"]
    problem(act(admin, path, host=centre.far1.pk), 409)
    assert not Run.objects.filter(vm=centre.idle1).exists()
    assert Vm.objects.get(pk=centre.idle1.pk).wanted_up is False


def test_a_vm_too_big_for_every_host_is_told_why(centre: Centre, admin: APIClient) -> None:
    vm = add_vm("huge", centre.cluster)
    Vm.objects.filter(pk=vm.pk).update(memory_mib=10**6)
    told = problem(act(admin, f"vms/{vm.pk}/actions/start"), 409)
    assert "MiB free" in told["detail"]


def test_a_stale_proof_is_looked_at_again_before_a_start(centre: Centre, admin: APIClient) -> None:
    now = clock.now()
    old = now - timedelta(minutes=5)
    run = Run.objects.get(vm=centre.web1)
    Run.objects.filter(pk=run.pk).update(started_at=old - timedelta(hours=1))
    Host.objects.filter(pk=centre.node2.pk).update(last_seen=old)
    proof = Evidence(kind=ProofKind.POWER_OFF, at=old, text="off", reason=EndReason.HOST_LOST)
    close_run(run.pk, proof, now)
    told = problem(act(admin, f"vms/{centre.web1.pk}/actions/start"), 409)
    assert "older than 60 s" in told["detail"]
    assert FenceOperation.objects.get().kind == "check"
    assert not Run.objects.filter(vm=centre.web1, ended_at__isnull=True).exists()


def test_operations_of_three_tables_are_one_list(centre: Centre, admin: APIClient) -> None:
    act(admin, f"hosts/{centre.node1.pk}/actions/probe")
    act(admin, f"vms/{centre.db1.pk}/actions/suspend")
    act(admin, f"hosts/{centre.node2.pk}/actions/fence", action="status")
    listed = admin.get(f"{API}/operations/?page_size=2").json()
    assert listed["count"] == 3
    rows = listed["results"] + admin.get(listed["next"]).json()["results"]
    assert [row["id"].partition("-")[0] for row in rows] == ["fence", "vm", "host"]
    still_open = admin.get(f"{API}/operations/?state=open").json()
    assert still_open["count"] == 2
    of_vm = admin.get(f"{API}/operations/?vm={centre.db1.pk}").json()
    assert [row["kind"] for row in of_vm["results"]] == ["suspend"]


def test_an_incident_tells_its_timeline_and_alerts(centre: Centre, admin: APIClient) -> None:
    now = clock.now()
    incident = open_incident(centre.node2.pk, now)
    record_event(
        "ha.checking", "asking", now=now, host=centre.node2.pk, incident=incident.pk, rule="row 6"
    )
    raise_alert("confirm_reboot", centre.node2.pk, 0, "no proof to be had", now)  # type: ignore[arg-type]  # the enum's value
    whole = admin.get(f"{API}/incidents/{incident.pk}/").json()
    assert [line["kind"] for line in whole["timeline"]][:2] == ["incident.opened", "ha.checking"]
    assert {"at", "kind", "evidence", "text", "rule"} <= set(whole["timeline"][0])
    assert whole["alerts"][0]["cure"]
    assert Incident.objects.count() == 1


def test_lists_are_filtered_searched_and_ordered(centre: Centre, admin: APIClient) -> None:
    def found(query: str) -> list[str]:
        rows = admin.get(f"{API}/{query}").json()["results"]
        return [row["name"] for row in rows]

    assert found("hosts/?status=non_responsive") == ["node2"]
    assert found("hosts/?search=far") == ["far1"]
    assert found("hosts/?ordering=-name") == ["node2", "node1", "far1"]
    assert found(f"vms/?host={centre.node2.pk}") == ["web1"]
    assert found("vms/?wanted_up=false") == ["idle1"]


def test_times_are_utc_with_a_z(centre: Centre, admin: APIClient) -> None:
    assert admin.get(f"{API}/hosts/{centre.node1.pk}/").json()["last_seen"].endswith("Z")
    asked = admin.post(f"{API}/hosts/{centre.node1.pk}/actions/maintenance/", {}, format="json")
    assert asked.json()["steps"][0]["at"].endswith("Z")


@pytest.mark.parametrize(
    "resource",
    ["clusters", "hosts", "vms", "runs", "proofs", "incidents", "alerts", "events", "operations",
     "power-controllers"],
)  # fmt: skip
def test_a_parameter_that_means_nothing_widens_no_list(
    resource: str, centre: Centre, admin: APIClient
) -> None:
    told = problem(admin.get(f"{API}/{resource}/?stauts=up"), 400, "stauts")
    offered = "cursor" if resource == "events" else "page"
    assert f", {offered}, " in told["detail"]
    assert ("cursor" in told["detail"]) is (resource == "events")


def test_a_list_costs_the_same_for_few_and_for_many(
    centre: Centre, admin: APIClient, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        add_vm(f"more{number}", centre.cluster, centre.node1)
    for resource in ("hosts", "vms", "runs", "operations"):
        with django_assert_max_num_queries(11):
            assert admin.get(f"{API}/{resource}/").status_code == 200
