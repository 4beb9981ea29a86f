"""HA resources over REST: what is entered, configured, switched, and a person's word."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from fencing.models import HaResource, HaScope
from hosts.domain.states import HostStatus
from hosts.models import Host
from portal.core.models import Event
from portal.lib.ha.states import HaState
from tests.api.conftest import API, Centre, Speaks, add_host, problem

ONE = f"{API}/ha-resources"


def post(client: APIClient, path: str, body: Any = None, **headers: str) -> Any:
    return client.post(f"{API}/{path}", body, format="json", headers=headers)


def enter(client: APIClient, centre: Centre, **more: Any) -> dict[str, Any]:
    body = {"kind": "vm", "vm": centre.db1.pk, "provider": "vm-guest"} | more
    answer = post(client, "ha-resources/", body)
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def of_host(host: Host) -> HaResource:
    return HaResource.objects.get(host=host)


def test_the_inside_of_a_vm_is_entered_switched_off_and_switched_on(
    admin: APIClient, centre: Centre
) -> None:
    told = enter(admin, centre, options={"tcp": "192.0.2.9:22"}, thresholds={"health_interval": 2})
    assert (told["name"], told["state"], told["enabled"]) == ("db1", "disabled", False)
    assert (told["key"], told["cluster"]) == (str(centre.db1.pk), centre.cluster.pk)
    assert told["effective_thresholds"]["health_interval"] == 2
    assert told["said"] is None
    told = post(admin, f"ha-resources/{told['id']}/actions/enable/").json()
    assert (told["state"], told["work"]) == ("available", "health")
    kinds = Event.objects.filter(vm=centre.db1.pk).values_list("kind", flat=True)
    assert {"resource.added", "resource.available", "resource.enabled"} <= set(kinds)
    again = post(admin, "ha-resources/", {"kind": "vm", "vm": centre.db1.pk})
    assert "looked after already" in problem(again, 409)["detail"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"kind": "host", "key": "x"}, "kind", "entered under hosts"),
        ({"kind": "fridge", "key": "x"}, "kind", "no provider knows it; there are vm"),
        ({"kind": "vm"}, "vm", "is needed"),
        ({"kind": "vm", "vm": "{db1}", "key": "x"}, "key", "leave it out"),
        ({"kind": "vm", "vm": 999999}, "vm", ""),
        ({"kind": "vm", "vm": "{db1}", "provider": "nope"}, "provider", "there is none called so"),
        ({"kind": "vm", "vm": "{db1}", "provider": "libvirt-kvm"}, "provider", "it is for host"),
        (
            {"kind": "vm", "vm": "{db1}", "provider": "vm-guest", "options": {"color": "red"}},
            "options.color",
            "there are: tcp, url, witness",
        ),
        (
            {"kind": "vm", "vm": "{db1}", "provider": "vm-guest",
             "options": {"url": "http://me:secret@192.0.2.1/"}},
            "options.url",
            "options are shown",
        ),
        (
            {"kind": "vm", "vm": "{db1}", "thresholds": {"activity_ratio": 2}},
            "thresholds.activity_ratio",
            "between 0 and 1",
        ),
        ({"kind": "vm", "vm": "{db1}", "thresholds": {"x": 2}}, "thresholds.x", "no such"),
        ({"kind": "vm", "vm": "{db1}", "state": "fenced"}, "state", "is no field here"),
    ],
)  # fmt: skip
def test_what_cannot_be_entered_is_refused_by_field(
    admin: APIClient, centre: Centre, body: dict[str, Any], field: str, words: str
) -> None:
    sent = {
        key: value.format(db1=centre.db1.pk) if isinstance(value, str) else value
        for key, value in body.items()
    }
    told = problem(post(admin, "ha-resources/", sent), 400, field)
    assert words in str(told)
    assert not HaResource.objects.exclude(kind="host").exists()


def test_a_key_that_is_sent_twice_enters_one(admin: APIClient, centre: Centre) -> None:
    body = {"kind": "vm", "vm": centre.db1.pk}
    first = post(admin, "ha-resources/", body, **{"Idempotency-Key": "k1"})
    again = post(admin, "ha-resources/", body, **{"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()


def test_options_belong_to_the_provider_that_is_configured(
    admin: APIClient, centre: Centre
) -> None:
    pk = enter(admin, centre, options={"tcp": "192.0.2.9:22"})["id"]
    path = f"ha-resources/{pk}/actions/configure/"
    problem(post(admin, path, {"options": {"nope": "1"}}), 400, "options.nope")
    problem(post(admin, path, {"provider": "libvirt-kvm"}), 400, "provider")
    told = post(admin, path, {"thresholds": {"health_interval": 9}}).json()
    assert (told["thresholds"], told["options"]) == (
        {"health_interval": 9},
        {"tcp": "192.0.2.9:22"},
    )
    told = post(admin, path, {"options": {"url": "http://192.0.2.9/"}}).json()
    assert told["options"] == {"url": "http://192.0.2.9/"}


def test_a_host_is_configured_by_its_policy_and_removed_as_a_host(
    admin: APIClient, centre: Centre
) -> None:
    pk = of_host(centre.node1).pk
    path = f"ha-resources/{pk}/actions/configure/"
    told = problem(post(admin, path, {"thresholds": {"health_interval": 9}}), 409)
    assert "policy" in told["cure"]
    problem(admin.delete(f"{ONE}/{pk}/"), 409)
    assert of_host(centre.node1).pk == pk


def test_hosts_are_listed_with_what_moves_them(admin: APIClient, centre: Centre) -> None:
    pk = of_host(centre.node1).pk
    post(admin, f"ha-resources/{pk}/actions/disable/")
    told = admin.get(f"{ONE}/{pk}/").json()
    assert (told["kind"], told["provider"], told["state"]) == ("host", "libvirt-kvm", "disabled")
    rows = admin.get(f"{ONE}/{pk}/transitions/").json()["results"]
    assert [(row["old"], row["new"], row["actor"]) for row in rows] == [
        ("available", "disabled", "admin-all-0")
    ]
    found = admin.get(f"{ONE}/?cluster={centre.other.pk}").json()["results"]
    assert [row["name"] for row in found] == ["far1"]
    assert admin.get(f"{ONE}/?state=disabled").json()["count"] == 1
    problem(admin.get(f"{ONE}/{pk}/transitions/?cursor=x"), 400, "cursor")


def test_a_silent_host_is_declared_degraded_and_an_answering_one_is_not(
    admin: APIClient, centre: Centre
) -> None:
    answering, silent = of_host(centre.node1), of_host(centre.node2)
    path = "ha-resources/{}/actions/declare-degraded/"
    body = {"reason": "its switch is being replaced"}
    assert "answers" in problem(post(admin, path.format(answering.pk), body), 409)["detail"]
    problem(post(admin, path.format(silent.pk), {}), 400, "reason")
    told = post(admin, path.format(silent.pk), body).json()
    assert told["state"] == "degraded"
    assert "its switch is being replaced" in told["reason"]
    told = post(admin, f"ha-resources/{silent.pk}/actions/cancel-degraded/").json()
    assert told["state"] == "suspect"
    problem(post(admin, f"ha-resources/{silent.pk}/actions/cancel-degraded/"), 409)


def test_a_cluster_without_ha_leaves_its_hosts_alone_whatever_their_own_switch(
    admin: APIClient, centre: Centre
) -> None:
    path = f"clusters/{centre.cluster.pk}/actions"
    told = post(admin, f"{path}/disable-ha/").json()
    assert told["ha"] == {"enabled": False, "thresholds": {}}
    states = dict(HaResource.objects.values_list("host__name", "state"))
    assert states == {"node1": "disabled", "node2": "disabled", "far1": "available"}
    op = post(admin, f"hosts/{centre.node1.pk}/actions/enable-ha/").json()
    assert "HA is switched off for its cluster" in op["steps"][0]["text"]
    assert of_host(centre.node1).state == HaState.DISABLED
    post(admin, f"hosts/{centre.node2.pk}/actions/disable-ha/")
    assert post(admin, f"{path}/enable-ha/").json()["ha"]["enabled"] is True
    assert of_host(centre.node1).state == HaState.AVAILABLE
    assert of_host(centre.node2).state == HaState.DISABLED


def test_a_host_that_is_entered_where_ha_is_off_begins_disabled(
    admin: APIClient, centre: Centre, hardware: Any
) -> None:
    post(admin, f"clusters/{centre.cluster.pk}/actions/disable-ha/")
    body = {"name": "new1", "uri": "qemu+tls://new1/system", "cluster": centre.cluster.pk}
    assert post(admin, "hosts/", body).status_code == 201
    assert HaResource.objects.get(host__name="new1").state == HaState.DISABLED


def test_everything_is_switched_off_and_on_and_configured(admin: APIClient, centre: Centre) -> None:
    post(admin, f"clusters/{centre.other.pk}/actions/disable-ha/")
    told = post(admin, "settings/ha/actions/disable-ha/").json()
    assert (told["enabled"], told["clusters_off"]) == (False, [centre.other.pk])
    assert set(HaResource.objects.values_list("state", flat=True)) == {"disabled"}
    post(admin, "settings/ha/actions/enable-ha/")
    assert of_host(centre.node1).state == HaState.AVAILABLE
    assert of_host(centre.far1).state == HaState.DISABLED
    body = {"thresholds": {"health_interval": 7}, "queues": {"fence": [2, 20]}}
    told = post(admin, "settings/ha/actions/configure/", body).json()
    assert (told["thresholds"], told["queues"]) == (body["thresholds"], body["queues"])
    assert admin.get(f"{API}/settings/ha/").json() == told
    assert enter(admin, centre)["effective_thresholds"]["health_interval"] == 7
    post(admin, "settings/ha/actions/configure/", {"thresholds": {}})
    assert HaScope.objects.get(cluster=0).queues == {"fence": [2, 20]}


@pytest.mark.parametrize(
    ("queues", "field"),
    [
        ({"tea": [1, 1]}, "queues.tea"),
        ({"fence": [0, 1]}, "queues.fence"),
        ({"fence": [1]}, "queues.fence"),
        ({"fence": [501, 1]}, "queues.fence"),
        ({"fence": [1, -1]}, "queues.fence"),
    ],
)
def test_impossible_queues_are_refused(
    admin: APIClient, centre: Centre, queues: Any, field: str
) -> None:
    body = {"thresholds": {}, "queues": queues}
    problem(post(admin, "settings/ha/actions/configure/", body), 400, field)
    assert not HaScope.objects.exists()


def test_what_only_waits_for_an_armed_cluster_says_so(admin: APIClient, centre: Centre) -> None:
    pk = enter(admin, centre)["id"]
    HaResource.objects.filter(pk=pk).update(state="recovering", work="recovery")
    assert admin.get(f"{ONE}/{pk}/").json()["held"] == ""
    post(admin, f"clusters/{centre.cluster.pk}/actions/observe/")
    assert "only observes" in admin.get(f"{ONE}/{pk}/").json()["held"]


def test_a_removed_vm_and_a_forgotten_resource_are_looked_after_no_more(
    admin: APIClient, centre: Centre
) -> None:
    pk = enter(admin, centre, vm=centre.idle1.pk)["id"]
    assert admin.delete(f"{API}/vms/{centre.idle1.pk}/").status_code in (202, 204)
    problem(admin.get(f"{ONE}/{pk}/"), 404)
    pk = enter(admin, centre)["id"]
    assert admin.delete(f"{ONE}/{pk}/").status_code == 204
    problem(admin.get(f"{ONE}/{pk}/"), 404)


def test_whoever_may_not_change_the_vm_enters_nothing_about_it(
    speaks: Speaks, centre: Centre
) -> None:
    client = speaks("admin", "cluster", centre.other.pk)
    problem(post(client, "ha-resources/", {"kind": "vm", "vm": centre.db1.pk}), 403)
    add_host("far2", centre.other, HostStatus.UP)
    assert client.get(f"{ONE}/").json()["count"] == 2
