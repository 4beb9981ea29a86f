"""Who may do what over the API: strangers, viewers, operators, admins, and narrow scopes."""

import pytest
from rest_framework.test import APIClient

from portal.core.models import ApiToken, Role, User
from tests.api.conftest import API, Centre, Speaks, add_person, problem

LISTS = [
    "clusters",
    "hosts",
    "power-controllers",
    "vms",
    "ha-resources",
    "runs",
    "proofs",
    "incidents",
    "alerts",
    "events",
    "operations",
    "tokens",
]


@pytest.mark.parametrize("name", LISTS)
def test_nothing_is_shown_without_credentials(name: str, centre: Centre, speaks: Speaks) -> None:
    answer = speaks().get(f"{API}/{name}/")
    problem(answer, 401)
    assert answer["WWW-Authenticate"]


@pytest.mark.parametrize("name", LISTS)
def test_who_has_no_role_is_told_so(name: str, centre: Centre, speaks: Speaks) -> None:
    problem(speaks("stranger").get(f"{API}/{name}/"), 403)


@pytest.mark.parametrize("name", LISTS)
def test_a_viewer_may_read_every_list(name: str, centre: Centre, speaks: Speaks) -> None:
    assert speaks("viewer").get(f"{API}/{name}/").status_code == 200


# Who -> what they ask -> status.
MATRIX = [
    ("viewer", "hosts/{node1}/actions/probe/", 403),
    ("operator", "hosts/{node1}/actions/probe/", 202),
    ("viewer", "vms/{db1}/actions/stop/", 403),
    ("operator", "vms/{db1}/actions/stop/", 202),
    ("operator", "clusters/{cluster}/actions/arm/", 403),
    ("admin", "clusters/{cluster}/actions/arm/", 200),
    ("operator", "hosts/{node1}/actions/disable-ha/", 403),
    ("admin", "hosts/{node1}/actions/disable-ha/", 202),
]


def address(centre: Centre, path: str) -> str:
    """Return the address of an object of the data centre."""
    return f"{API}/" + path.format(**{name: row.pk for name, row in vars(centre).items()})


@pytest.mark.parametrize(("role", "path", "status"), MATRIX)
def test_an_action_needs_its_role(
    role: str, path: str, status: int, centre: Centre, speaks: Speaks
) -> None:
    answer = speaks(role).post(address(centre, path), {}, format="json")
    assert answer.status_code == status, answer.content


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_administrator_enters_hosts(role: str, centre: Centre, speaks: Speaks) -> None:
    fields = {"name": "new", "uri": "qemu+tls://new/system", "cluster": centre.cluster.pk}
    problem(speaks(role).post(f"{API}/hosts/", fields, format="json"), 403)


def names(client: APIClient, resource: str) -> list[str]:
    """Return the names that a client is shown."""
    return [row["name"] for row in client.get(f"{API}/{resource}/").json()["results"]]


def test_a_role_over_a_cluster_holds_for_what_is_in_it(centre: Centre, speaks: Speaks) -> None:
    client = speaks("operator", "cluster", centre.cluster.pk)
    assert names(client, "hosts") == ["node1", "node2"]
    assert names(client, "clusters") == ["main"]
    allowed = client.post(address(centre, "vms/{db1}/actions/suspend/"), {}, format="json")
    assert allowed.status_code == 202
    problem(client.post(address(centre, "hosts/{far1}/actions/probe/"), {}, format="json"), 404)


def test_a_role_over_a_host_holds_for_the_vms_that_run_there(
    centre: Centre, speaks: Speaks
) -> None:
    client = speaks("operator", "host", centre.node1.pk)
    assert names(client, "hosts") == ["node1"]
    assert names(client, "vms") == ["db1"]
    assert names(client, "clusters") == []


def test_a_role_over_a_vm_shows_no_host(centre: Centre, speaks: Speaks) -> None:
    client = speaks("viewer", "vm", centre.idle1.pk)
    assert names(client, "vms") == ["idle1"]
    assert names(client, "hosts") == []
    problem(client.post(address(centre, "vms/{idle1}/actions/start/"), {}, format="json"), 403)


def test_seeing_everything_and_running_one_host_are_kept_apart(
    centre: Centre, speaks: Speaks
) -> None:
    client = speaks("viewer")
    user = User.objects.get(username="viewer-all-0")
    user.roles.create(role=Role.OPERATOR, scope_type="host", scope_id=centre.node1.pk)
    mine = client.post(address(centre, "hosts/{node1}/actions/probe/"), {}, format="json")
    assert mine.status_code == 202
    problem(client.post(address(centre, "hosts/{node2}/actions/probe/"), {}, format="json"), 403)


def bearer(user: User, scope: str) -> APIClient:
    """Return a client that comes with a token of this scope."""
    _, secret = ApiToken.objects.create(user=user, scope=scope)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def test_a_token_narrows_what_its_owner_may(centre: Centre) -> None:
    owner = add_person("ann", Role.ADMIN)
    path = address(centre, "hosts/{node1}/actions/probe/")
    problem(bearer(owner, "viewer").post(path, {}, format="json"), 403)
    assert bearer(owner, "operator").post(path, {}, format="json").status_code == 202
    assert bearer(owner, "viewer").get(f"{API}/hosts/").status_code == 200


def test_an_invalid_token_is_refused_with_a_cure(centre: Centre) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer 0123456789abcdef")
    told = problem(client.get(f"{API}/hosts/"), 401)
    assert "Bearer" in told["cure"]


def test_a_person_makes_lists_and_deletes_only_own_tokens(centre: Centre, speaks: Speaks) -> None:
    other = add_person("ann", Role.VIEWER)
    ApiToken.objects.create(user=other, name="theirs")
    client = speaks("viewer")
    made = client.post(f"{API}/tokens/", {"name": "mine", "days": 1}, format="json")
    assert made.status_code == 201
    secret = made.json()["token"]
    listed = client.get(f"{API}/tokens/")
    assert [row["name"] for row in listed.json()["results"]] == ["mine"]
    assert secret not in listed.content.decode()
    assert client.delete(f"{API}/tokens/{made.json()['id']}/").status_code == 204
    problem(client.delete(f"{API}/tokens/{ApiToken.objects.get().token_key}/"), 404)


def test_a_token_cannot_make_a_stronger_one(centre: Centre) -> None:
    client = bearer(add_person("ann", Role.ADMIN), "viewer")
    wish = {"name": "more", "scope": "admin"}
    problem(client.post(f"{API}/tokens/", wish, format="json"), 400, "scope")
