"""Affinity rules over REST: entered whole, changed as read, refused when they contradict."""

from typing import Any

from rest_framework.test import APIClient

from hosts.models import Cluster
from portal.core.models import Event
from portal.lib import clock
from tests.api.conftest import API, Centre, Speaks, problem
from vms.models import AffinityRule
from vms.selectors import affinity_rules
from vms.services import inventory

RULES = f"{API}/affinity-rules/"


def enter(admin: APIClient, centre: Centre, **fields: Any) -> Any:
    body = {"cluster": centre.cluster.pk, "name": "apart", "kind": "separate"}
    body["vms"] = [centre.db1.pk, "web1"]
    return admin.post(RULES, body | fields, format="json")


def test_a_rule_is_entered_by_ids_or_names_and_reaches_the_plan(
    admin: APIClient, centre: Centre
) -> None:
    answer = enter(admin, centre, kind="hosts", hosts={str(centre.node1.pk): 2})
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert told["vms"] == sorted([centre.db1.pk, centre.web1.pk])
    assert told["hosts"] == {str(centre.node1.pk): 2}
    (rule,) = affinity_rules(centre.cluster.pk)
    assert (rule.name, rule.hard, dict(rule.hosts)) == ("apart", True, {centre.node1.pk: 2})
    assert Event.objects.filter(kind="affinity.added").count() == 1


def test_contradicting_rules_are_refused_by_name_with_a_cure(
    admin: APIClient, centre: Centre
) -> None:
    enter(admin, centre)
    answer = enter(admin, centre, name="pair", kind="together")
    told = problem(answer, 409)
    assert "apart and pair contradict each other about db1, web1" in told["detail"]
    assert AffinityRule.objects.count() == 1
    rule = enter(admin, centre, name="pair", kind="together", vms=["db1", "idle1"]).json()
    changed = admin.patch(
        f"{RULES}{rule['id']}/", {"vms": ["db1", "web1"]}, format="json", headers={"If-Match": "*"}
    )
    problem(changed, 409)
    assert AffinityRule.objects.get(pk=rule["id"]).version == 1


def test_a_rule_changes_only_as_it_was_read(admin: APIClient, centre: Centre) -> None:
    rule = enter(admin, centre).json()
    where = f"{RULES}{rule['id']}/"
    problem(admin.patch(where, {"hard": False}, format="json"), 428)
    etag = admin.get(where).headers["ETag"]
    new = {"hard": False, "vms": ["db1", "idle1"]}
    done = admin.patch(where, new, format="json", headers={"If-Match": etag})
    assert done.status_code == 200, done.content
    assert (done.json()["hard"], done.json()["version"]) == (False, 2)
    assert done.json()["vms"] == sorted([centre.db1.pk, centre.idle1.pk])
    problem(admin.patch(where, new, format="json", headers={"If-Match": etag}), 412)
    assert admin.delete(where).status_code == 204
    assert Event.objects.filter(kind="affinity.removed").exists()


def test_members_must_be_of_the_rules_cluster(admin: APIClient, centre: Centre) -> None:
    problem(enter(admin, centre, vms=["db1", "nobody"]), 400, "vms")
    problem(enter(admin, centre, vms=["db1", 9999]), 400, "vms")
    far = {str(centre.far1.pk): 1}
    problem(enter(admin, centre, kind="hosts", hosts=far), 400, "hosts")
    problem(enter(admin, centre, kind="hosts", hosts={"node1": 1}), 400, "hosts")
    problem(enter(admin, centre, kind="near"), 400, "kind")
    enter(admin, centre)
    problem(enter(admin, centre, name="APART"), 400, "name")


def test_a_removed_vm_leaves_its_rules(admin: APIClient, centre: Centre) -> None:
    rule = enter(admin, centre, vms=["db1", "idle1"]).json()
    assert admin.delete(f"{API}/vms/{centre.idle1.pk}/").status_code == 204
    assert admin.get(f"{RULES}{rule['id']}/").json()["vms"] == [centre.db1.pk]
    assert affinity_rules(centre.cluster.pk)[0].vms == {centre.db1.pk}


def test_xml_says_what_a_vm_asks_of_a_host(admin: APIClient, centre: Centre) -> None:
    xml = (
        "<domain type='kvm'><name>new1</name><uuid>00000000-0000-4000-8000-00000000abcd</uuid>"
        "<memory unit='MiB'>1024</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os>"
        "<cpu mode='custom'><model>Haswell</model></cpu><devices>"
        "<interface type='network'><source network='dmz'/></interface>"
        "<disk type='volume' device='disk'><source pool='san' volume='a'/></disk>"
        "</devices></domain>"
    )
    uuid = "00000000-0000-4000-8000-00000000abcd"
    body: dict[str, Any] = {"name": "new1", "uuid": uuid, "xml": xml}
    body |= {"cluster": centre.cluster.pk, "memory_mib": 1024, "vcpus": 1}
    told = admin.post(f"{API}/vms/", body, format="json").json()
    assert (told["cpu"], told["networks"], told["storage"]) == ("x86_64/Haswell", ["dmz"], ["san"])


def test_admission_refuses_a_start_and_ha_that_would_take_the_reserve(
    admin: APIClient, centre: Centre, speaks: Speaks
) -> None:
    def policy(mode: str) -> None:
        Cluster.objects.filter(pk=centre.cluster.pk).update(policy={"admission": mode})

    web = centre.db1
    inventory.edit(web, {"ha": False}, actor="ann", now=clock.now())
    where, ha = f"{API}/vms/{web.pk}/", {"ha": True}
    policy("enforce")
    told = problem(admin.patch(where, ha, format="json", headers={"If-Match": "*"}), 409)
    assert "If node1 dies, 1 VM has no home: db1" in told["detail"]
    start = admin.post(f"{API}/vms/{centre.idle1.pk}/actions/start/", {}, format="json")
    assert "If node1 dies" in problem(start, 409)["detail"]
    narrow = speaks("operator", "vm", centre.idle1.pk)
    start = narrow.post(f"{API}/vms/{centre.idle1.pk}/actions/start/", {}, format="json")
    told = problem(start, 409)
    assert "the loss of 1 host(s) is not covered" in told["detail"]
    assert "db1" not in told["detail"], "whoever sees one VM is told of no other"
    policy("warn")
    done = admin.patch(where, ha, format="json", headers={"If-Match": "*"})
    assert done.status_code == 200, done.content
    assert Event.objects.filter(kind="capacity.warned", vm=web.pk).count() == 1
    policy("off")
    start = admin.post(f"{API}/vms/{centre.idle1.pk}/actions/start/", {}, format="json")
    assert start.status_code == 202, start.content
    assert Event.objects.filter(kind="capacity.warned").count() == 1
