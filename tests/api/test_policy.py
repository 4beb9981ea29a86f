"""The policy over REST: what its settings mean, its layers, and two who edit it at once."""

from typing import Any

from rest_framework.test import APIClient

from fencing.domain.policy import FIELDS
from fencing.selectors import policy_of
from portal.core.models import Event
from tests.api.conftest import API, Centre, problem

GLOBAL = f"{API}/settings/policy/"


def change(client: APIClient, overrides: Any, match: str, path: str = GLOBAL) -> Any:
    """Send overrides."""
    headers = {"If-Match": match} if match else {}
    return client.patch(path, {"policy": overrides}, format="json", headers=headers)


def test_every_setting_is_described_for_an_editor(centre: Centre, admin: APIClient) -> None:
    told = {row["name"]: row for row in admin.get(f"{API}/policy/").json()["settings"]}
    assert set(told) == set(FIELDS)
    assert told["grace"] == {
        "name": "grace",
        "kind": "number",
        "unit": "s",
        "default": 10,
        "low": 3,
        "high": 3600,
        "choices": [],
        "help": FIELDS["grace"].metadata["help"],
    }
    assert told["missed_polls"]["kind"] == "whole_number"
    assert told["after_fence"]["choices"] == ["power_on", "stay_off"]
    assert told["witness"]["kind"] == "addresses"
    assert all(row["help"] for row in told.values())


def test_what_is_set_for_all_holds_until_a_cluster_or_host_says_otherwise(
    centre: Centre, admin: APIClient
) -> None:
    etag = admin.get(GLOBAL)["ETag"]
    answer = change(admin, {"grace": 20, "poll": 3, "off_reads": 3}, etag)
    assert answer.status_code == 200, answer.content
    assert answer["ETag"] != etag
    change(admin, {"poll": 4, "off_reads": 4}, "*", f"{API}/clusters/{centre.cluster.pk}/")
    path = f"{API}/hosts/{centre.node1.pk}/"
    found = change(admin, {"off_reads": 5}, "*", path).json()["effective_policy"]
    assert found == admin.get(path).json()["effective_policy"]
    told = {name: (found[name]["value"], found[name]["layer"]) for name in found}
    assert told["grace"] == (20, "global")
    assert told["poll"] == (4, "cluster")
    assert told["off_reads"] == (5, "host")
    assert told["spare_hosts"] == (1, "default")
    centre.node1.refresh_from_db()
    centre.node1.cluster.refresh_from_db()
    in_force = policy_of(centre.node1)
    assert {name: getattr(in_force, name) for name in ("grace", "poll", "off_reads")} == {
        "grace": 20,
        "poll": 4,
        "off_reads": 5,
    }
    cluster = admin.get(f"{API}/clusters/{centre.cluster.pk}/").json()["effective_policy"]
    assert cluster["off_reads"] == {"value": 4, "layer": "cluster"}
    told_event = Event.objects.get(kind="policy.edited")
    assert (told_event.actor, told_event.evidence["policy"]["grace"]) == ("admin-all-0", 20)


def test_the_second_of_two_who_edit_the_policy_sees_both_versions(
    centre: Centre, admin: APIClient
) -> None:
    problem(change(admin, {"grace": 20}, ""), 428, "If-Match")
    etag = admin.get(GLOBAL)["ETag"]
    assert change(admin, {"grace": 20}, etag).status_code == 200
    told = problem(change(admin, {"grace": 60}, etag), 412, "If-Match")
    assert told["current"]["policy"] == {"grace": 20}
    assert change(admin, {"grace": 60}, told["etag"]).json()["policy"] == {"grace": 60}


def test_the_412_of_a_cluster_carries_what_it_is_now(centre: Centre, admin: APIClient) -> None:
    path = f"{API}/clusters/{centre.cluster.pk}/"
    etag = admin.get(path)["ETag"]
    change(admin, {"grace": 20}, etag, path)
    told = problem(change(admin, {"grace": 60}, etag, path), 412, "If-Match")
    assert told["current"] == admin.get(path).json()
    assert told["etag"] == admin.get(path)["ETag"]


def test_a_wrong_override_names_its_setting(centre: Centre, admin: APIClient) -> None:
    problem(change(admin, {"grace": 1}, "*"), 400, "policy.grace")
    problem(change(admin, {"soft_recovery": "yes"}, "*"), 400, "policy.soft_recovery")
    assert admin.get(GLOBAL).json()["policy"] == {}
