"""Users, roles and tokens: shown once, never deleted, and somebody is always in charge."""

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from hosts.domain.states import HostStatus
from hosts.models import Host
from portal.core import people
from portal.core.models import ApiToken, Event, IdempotencyKey, Role, RoleBinding, User
from portal.lib import clock
from tests.api.conftest import API, Centre, Speaks, add_person, problem
from tests.core.racing import race
from tests.vms.conftest import either

__all__ = ["either"]


def post(client: APIClient, path: str, fields: Any = None, key: str = "") -> Any:
    """Post to the API, under a key where one is given."""
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(f"{API}/{path}/", fields or {}, format="json", headers=headers)


def change(client: APIClient, user: User, fields: Any) -> Any:
    """Change a user, whatever its version."""
    path = f"{API}/users/{user.pk}/"
    return client.patch(path, fields, format="json", headers={"If-Match": "*"})


def test_a_new_user_signs_in_with_a_password_that_is_shown_once(
    centre: Centre, admin: APIClient
) -> None:
    made = post(admin, "users", {"username": "bob"})
    assert made.status_code == 201, made.content
    assert made.json()["must_change_password"] is True
    password = made.json()["password"]
    form = {"login": "bob", "password": password}
    assert Client().post("/sign-in/", form).status_code == 302
    for path in ("users", f"users/{made.json()['id']}"):
        assert password not in admin.get(f"{API}/{path}/").content.decode()
    told = Event.objects.get(kind="user.added")
    assert told.actor == "admin-all-0"
    assert not Event.objects.filter(text__contains=password).exists()


@pytest.mark.parametrize(
    ("path", "fields", "shown"),
    [
        ("users", {"username": "bob"}, "password"),
        ("users/{ann}/actions/reset-password", {}, "password"),
        ("tokens", {"name": "mine"}, "token"),
    ],
)
def test_a_secret_is_kept_under_no_key(
    path: str, fields: Any, shown: str, centre: Centre, admin: APIClient
) -> None:
    where = path.format(ann=add_person("ann").pk)
    made = post(admin, where, fields, key="k1")
    assert made.json()[shown]
    kept = IdempotencyKey.objects.get()
    assert made.json()[shown] not in str(vars(kept))
    told = problem(post(admin, where, fields, key="k1"), 409, "Idempotency-Key")
    assert "new key" in told["cure"]


@pytest.mark.parametrize("name", ["ANN", "portal", "Portal", "with space", "", "a" * 200])
def test_a_name_that_cannot_be_told_apart_is_refused(
    name: str, centre: Centre, admin: APIClient
) -> None:
    add_person("ann")
    problem(post(admin, "users", {"username": name}), 400, "username")


def test_who_is_deactivated_is_shut_out_and_stays_on_record(
    centre: Centre, admin: APIClient
) -> None:
    ann = add_person("ann", Role.ADMIN)
    _, secret = ApiToken.objects.create(user=ann, scope="admin")
    theirs = APIClient(headers={"Authorization": f"Bearer {secret}"})
    assert theirs.get(f"{API}/hosts/").status_code == 200
    assert change(admin, ann, {"is_active": False}).json()["is_active"] is False
    problem(theirs.get(f"{API}/hosts/"), 401)
    told = problem(admin.delete(f"{API}/users/{ann.pk}/"), 405)
    assert "is_active" in told["cure"]
    assert User.objects.filter(username="ann").exists()
    assert Event.objects.get(kind="user.deactivated").actor == "admin-all-0"
    assert change(admin, ann, {"is_active": True}).json()["is_active"] is True


def test_two_who_change_one_user_are_told(centre: Centre, admin: APIClient) -> None:
    ann = add_person("ann")
    path = f"{API}/users/{ann.pk}/"
    etag = admin.get(path)["ETag"]
    change(admin, ann, {"must_change_password": True})
    answer = admin.patch(path, {"is_active": False}, format="json", headers={"If-Match": etag})
    told = problem(answer, 412, "If-Match")
    assert told["current"]["must_change_password"] is True
    again = admin.patch(
        path, {"is_active": False}, format="json", headers={"If-Match": told["etag"]}
    )
    assert again.status_code == 200
    assert answer["ETag"] == told["etag"]


def test_the_last_administrator_can_neither_leave_nor_be_demoted(
    centre: Centre, admin: APIClient
) -> None:
    me = User.objects.get(username="admin-all-0")
    mine = f"{API}/role-bindings/{RoleBinding.objects.get().pk}/"
    problem(change(admin, me, {"is_active": False}), 409, "is_active")
    problem(admin.delete(mine), 409, "role")
    add_person("cluster", Role.ADMIN, "cluster", centre.cluster.pk)
    closed = add_person("closed", Role.ADMIN)
    User.objects.filter(pk=closed.pk).update(is_active=False)
    problem(admin.delete(mine), 409, "role")
    assert not Event.objects.filter(kind__in=["user.deactivated", "role.taken"]).exists()
    User.objects.create(username="root", is_superuser=True)
    assert admin.delete(mine).status_code == 204


def test_two_administrators_who_demote_each_other_do_not_both_succeed(either: str) -> None:
    rows = [add_person(name, Role.ADMIN).roles.get() for name in ("ann", "bob")]
    told = race(lambda n: people.unbind(rows[n], "all", actor="x", now=clock.now()), 2)
    assert sorted(type(item).__name__ for item in told) == ["LastAdministrator", "NoneType"]
    assert people.administrators().count() == 1


def test_a_role_is_given_over_what_is_there_and_names_it(centre: Centre, admin: APIClient) -> None:
    ann = add_person("ann")
    wish = {"user": ann.pk, "role": "operator", "scope_type": "host", "scope_id": centre.far1.pk}
    made = post(admin, "role-bindings", wish)
    assert made.status_code == 201, made.content
    assert (made.json()["scope_name"], made.json()["username"]) == ("far1", "ann")
    problem(post(admin, "role-bindings", wish | {"role": "viewer"}), 400, "role")
    problem(post(admin, "role-bindings", wish | {"scope_id": 999}), 400, "scope_id")
    problem(post(admin, "role-bindings", wish | {"scope_type": "all"}), 400, "scope_id")
    assert admin.get(f"{API}/users/{ann.pk}/").json()["roles"][0]["scope_name"] == "far1"
    assert Event.objects.get(kind="role.given").host == centre.far1.pk


def test_a_role_over_what_was_removed_shows_nothing_and_harms_nobody(
    centre: Centre, admin: APIClient
) -> None:
    ann = add_person("ann", Role.ADMIN, "host", centre.far1.pk)
    Host.objects.filter(pk=centre.far1.pk).update(status=HostStatus.DOWN)
    assert admin.delete(f"{API}/hosts/{centre.far1.pk}/").status_code in (202, 204)
    found = admin.get(f"{API}/role-bindings/?user={ann.pk}").json()["results"]
    assert [row["scope_name"] for row in found] == [""]
    client = APIClient()
    client.force_authenticate(ann)
    assert client.get(f"{API}/hosts/").json()["results"] == []
    assert admin.delete(f"{API}/role-bindings/{found[0]['id']}/").status_code == 204


def test_an_administrator_sees_and_revokes_the_tokens_of_others(
    centre: Centre, admin: APIClient, speaks: Speaks
) -> None:
    ann = add_person("ann", Role.VIEWER)
    token, _ = ApiToken.objects.create(user=ann, name="theirs", scope="viewer")
    post(admin, "tokens", {"name": "mine"})
    for query, names in (("", ["mine", "theirs"]), (f"?user={ann.pk}", ["theirs"])):
        rows = admin.get(f"{API}/tokens/{query}").json()["results"]
        assert [row["name"] for row in rows] == names
    assert rows[0]["owner"] == "ann"
    assert speaks("viewer").get(f"{API}/tokens/?user={ann.pk}").json()["results"] == []
    assert admin.delete(f"{API}/tokens/{token.token_key}/").status_code == 204
    assert Event.objects.get(kind="token.revoked").actor == "admin-all-0"


def test_a_weak_token_revokes_no_strong_one(centre: Centre) -> None:
    ann = add_person("ann", Role.ADMIN)
    strong, _ = ApiToken.objects.create(user=ann, scope="admin")
    _, secret = ApiToken.objects.create(user=ann, scope="viewer")
    client = APIClient(headers={"Authorization": f"Bearer {secret}"})
    problem(client.delete(f"{API}/tokens/{strong.token_key}/"), 400, "scope")
    assert ApiToken.objects.count() == 2


def test_nobody_collects_tokens_without_end(
    centre: Centre, admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MOST_TOKENS", 2)
    ann = User.objects.get(username="admin-all-0")
    expired, _ = ApiToken.objects.create(user=ann)
    ApiToken.objects.filter(pk=expired.pk).update(expiry=clock.now())
    assert [post(admin, "tokens", {"name": "t"}).status_code for _ in range(3)] == [201, 201, 409]
    assert "Revoke" in problem(post(admin, "tokens", {"name": "t"}), 409)["cure"]


def test_a_new_password_voids_tokens_and_lifts_a_lock_out(centre: Centre, admin: APIClient) -> None:
    ann = add_person("ann", Role.VIEWER)
    ApiToken.objects.create(user=ann)
    for _ in range(9):
        locked = Client().post("/sign-in/", {"login": "ann", "password": "no"})
    assert locked.status_code == 429
    password = post(admin, f"users/{ann.pk}/actions/reset-password").json()["password"]
    assert not ApiToken.objects.filter(user=ann).exists()
    ann.refresh_from_db()
    assert not ann.check_password("a long pass phrase")
    form = {"login": "ann", "password": password}
    assert Client().post("/sign-in/", form).status_code == 302
