"""What somebody may not see looks like what is not there: ids cannot be told apart."""

from typing import Any

import pytest

from portal.core.models import Role, User
from tests.api.conftest import API, Centre, Speaks, problem

NEW_HOST = {"name": "node9", "uri": "qemu+tls://node9/system"}
NEW_VM = {"name": "new1", "memory_mib": 1024, "vcpus": 1}
NEW_BMC = {"address": "192.0.2.9", "username": "admin", "password": "secret"}
TRIAL = NEW_BMC | {"driver": "ipmi"}

#: What is posted where, with the field that names something hidden.
NAMING = [
    ("hosts", NEW_HOST, "cluster"),
    ("vms", NEW_VM, "cluster"),
    ("power-controllers", NEW_BMC, "host"),
    ("trials/power", TRIAL, "host"),
    ("vms/{idle1}/actions/start", {}, "host"),
]
ABSENT = 987654


def told(answer: Any, field: str, named: int) -> dict[str, Any]:
    """Return a problem about ``field`` without the id that was sent."""
    text = str(problem(answer, 400, field)).replace(str(named), "ID")
    return {"text": text}


@pytest.mark.parametrize(("resource", "fields", "field"), NAMING)
def test_a_hidden_one_is_refused_like_one_that_never_was(
    resource: str, fields: dict[str, Any], field: str, centre: Centre, speaks: Speaks
) -> None:
    client = speaks("admin", "cluster", centre.cluster.pk)
    path = f"{API}/{resource.format(idle1=centre.idle1.pk)}/"
    hidden = {"cluster": centre.other.pk, "host": centre.far1.pk}[field]
    answers = [
        told(client.post(path, fields | {field: named}, format="json"), field, named)
        for named in (hidden, ABSENT)
    ]
    assert answers[0] == answers[1]


def test_a_host_cannot_be_moved_to_a_cluster_that_is_hidden_or_only_seen(
    centre: Centre, speaks: Speaks
) -> None:
    centre.node1.runs.all().delete()
    client = speaks("admin", "cluster", centre.cluster.pk)
    path, wish = f"{API}/hosts/{centre.node1.pk}/", {"cluster": centre.other.pk}
    headers = {"If-Match": "*"}
    problem(client.patch(path, wish, format="json", headers=headers), 400, "cluster")
    me = User.objects.get()
    me.roles.create(role=Role.VIEWER, scope_type="cluster", scope_id=centre.other.pk)
    problem(client.patch(path, wish, format="json", headers=headers), 403)
    centre.node1.refresh_from_db()
    assert centre.node1.cluster_id == centre.cluster.pk
    me.roles.update(role=Role.ADMIN)
    assert client.patch(path, wish, format="json", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["hosts/?cluster=", "vms/?cluster=", "runs/?host=", "proofs/?host=", "power-controllers/?host=",
     "incidents/?host=", "events/?cluster="],
)  # fmt: skip
def test_a_list_narrowed_by_a_hidden_one_is_as_empty_as_by_one_that_never_was(
    query: str, centre: Centre, speaks: Speaks
) -> None:
    client = speaks("admin", "cluster", centre.cluster.pk)
    hidden = centre.other.pk if "cluster" in query else centre.far1.pk
    for named in (hidden, ABSENT):
        answer = client.get(f"{API}/{query}{named}")
        assert answer.status_code == 200, answer.content
        assert answer.json()["results"] == []
