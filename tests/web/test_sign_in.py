"""Signing in: one-time passwords, lock-out, wrong tokens, and what is written down of it."""

from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from fencing.permissions import events_in
from portal.core.guessing import WrongCredentials
from portal.core.models import ApiToken, Cached, Event, Role, User
from portal.core.permissions import scopes_of
from tests.api.conftest import API, Centre, add_person, problem
from tests.web.people import PASSWORD, set_up_totp, sign_in, told

LIMIT, _ = WrongCredentials().parse_rate(WrongCredentials.rate)


@pytest.fixture
def ann(centre: Centre) -> User:
    """Return a person who may look."""
    return add_person("ann", Role.VIEWER)


@pytest.fixture
def forced(client: Client, ann: User) -> Client:
    """Return the browser of somebody who has signed in with a one-time password."""
    User.objects.filter(pk=ann.pk).update(must_change_password=True)
    sign_in(client, "ann")
    return client


def choose(client: Client, new: str, old: str = PASSWORD) -> Any:
    """Fill in the form of the password page."""
    form = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/password/", form)


@pytest.mark.parametrize(
    "path", ["/", "/parts/hosts/", "/incidents/1/", "/account/", "/account/two-factor/on/"]
)
def test_a_one_time_password_opens_the_password_page_only(path: str, forced: Client) -> None:
    assert forced.get(path)["Location"].startswith("/password/")
    page = forced.get("/password/")
    assert page.status_code == 200
    assert "one-time password" in page.content.decode()
    assert 'action="/sign-out/"' in page.content.decode()


def test_a_part_of_a_page_is_not_replaced_by_the_password_page(forced: Client) -> None:
    assert forced.get("/parts/hosts/", headers={"X-Part": "1"}).status_code == 403


def test_a_session_with_a_one_time_password_cannot_use_the_api(forced: Client) -> None:
    told = problem(forced.get(f"{API}/hosts/"), 403)
    assert "password must be changed" in told["detail"]
    problem(forced.get(f"{API}/hosts/", headers={"Authorization": "Basic abc"}), 403)
    assert forced.get("/api/docs/").status_code == 403
    assert forced.post("/sign-out/").status_code == 302
    assert forced.get("/")["Location"].startswith("/sign-in/")


def test_a_token_works_whatever_waits_for_its_owners_browser(ann: User, client: Client) -> None:
    User.objects.filter(pk=ann.pk).update(must_change_password=True)
    _, secret = ApiToken.objects.create(user=ann)
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get(f"{API}/hosts/", headers=headers).status_code == 200


def test_a_one_time_password_ends_with_the_choice_of_another(forced: Client) -> None:
    same = choose(forced, PASSWORD)
    assert "choose another one" in same.content.decode()
    assert choose(forced, "short").status_code == 200
    assert choose(forced, "mine and nobody else's")["Location"] == "/"
    assert forced.get("/").status_code == 200
    other = Client()
    assert sign_in(other, "ann").status_code == 200
    assert sign_in(other, "ann", "mine and nobody else's").status_code == 302
    assert told("password") == ["ann changed the password"]


def test_who_must_choose_a_password_first_then_gets_the_page_asked_for(
    ann: User, client: Client
) -> None:
    User.objects.filter(pk=ann.pk).update(must_change_password=True)
    form = {"login": "ann", "password": PASSWORD, "next": "/hosts/?status=up"}
    there = client.post("/sign-in/", form, follow=True).redirect_chain[-1][0]
    assert there == "/password/?next=%2Fhosts%2F%3Fstatus%3Dup"
    new = "mine and nobody else's"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post(there, form)["Location"] == "/hosts/?status=up"


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org/", "javascript:x"])
def test_the_password_page_leads_nowhere_else(elsewhere: str, forced: Client) -> None:
    new = "mine and nobody else's"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    answer = forced.post("/password/", form, query_params={"next": elsewhere})
    assert answer["Location"] == "/"


def test_the_password_cannot_be_guessed_at_an_open_browser(client: Client, ann: User) -> None:
    sign_in(client, "ann")
    answers = [choose(client, "mine and nobody else's", "wrong").status_code for _ in range(11)]
    assert answers == [200] * 10 + [429]


def test_access_is_reset_on_the_command_line(ann: User, client: Client, capsys: Any) -> None:
    sign_in(client, "ann")
    set_up_totp(client)
    ApiToken.objects.create(user=ann)
    for _ in range(settings.AXES_FAILURE_LIMIT):
        locked = sign_in(Client(), "ann", "wrong")
    assert locked.status_code == 429
    User.objects.filter(pk=ann.pk).update(is_active=False)

    call_command("reset-access", "ann")
    password = capsys.readouterr().out.split("with   ")[1].split()[0]

    assert client.get("/")["Location"].startswith("/sign-in/")
    assert not ApiToken.objects.exists()
    assert sign_in(client, "ann").status_code == 200  # the old one
    assert sign_in(client, "ann", password)["Location"] == "/"  # no lock, no code, not disabled
    assert client.get("/")["Location"] == "/password/"
    (text,) = told("reset")
    assert password not in text
    with pytest.raises(CommandError, match="known are"):
        call_command("reset-access", "anna")


def test_a_lock_out_is_told_once_and_concerns_one_address(ann: User) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT + 3):
        last = sign_in(Client(), "ann", "wrong", REMOTE_ADDR="192.0.2.1")
    assert last.status_code == 429
    assert sign_in(Client(), "ann", REMOTE_ADDR="192.0.2.1").status_code == 429
    assert sign_in(Client(), "ann", REMOTE_ADDR="192.0.2.2").status_code == 302
    (text,) = told("locked_out")
    assert "ann from 192.0.2.1" in text


def test_what_is_typed_as_a_name_is_not_written_down(ann: User) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        last = sign_in(Client(), "my-secret-password", "x")
    assert last.status_code == 429
    assert told("locked_out") == []


def test_signing_in_and_out_is_written_down_for_those_who_see_everything(
    ann: User, client: Client, centre: Centre
) -> None:
    sign_in(client, "ann", REMOTE_ADDR="192.0.2.9")
    client.post("/sign-out/")
    assert told("signed_in") == ["ann signed in from 192.0.2.9"]
    assert told("signed_out") == ["ann signed out"]
    event = Event.objects.get(kind="account.signed_in")
    assert (event.actor, event.evidence["shown"]) == ("ann", ["password"])
    narrow = scopes_of(add_person("n", Role.ADMIN, "cluster", centre.cluster.pk), Role.VIEWER)
    assert not Event.objects.filter(events_in(narrow), kind__startswith="account.").exists()
    wide = scopes_of(ann, Role.VIEWER)
    assert Event.objects.filter(events_in(wide), kind__startswith="account.").exists()


def test_nobody_signs_in_while_disabled_and_an_open_session_is_over(
    ann: User, client: Client
) -> None:
    sign_in(client, "ann")
    _, secret = ApiToken.objects.create(user=ann)
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert client.get("/")["Location"].startswith("/sign-in/")
    problem(client.get(f"{API}/hosts/"), 401)
    headers = {"Authorization": f"Bearer {secret}"}
    problem(Client().get(f"{API}/hosts/", headers=headers), 401)
    assert sign_in(Client(), "ann").status_code == 200


@pytest.mark.parametrize("wrong", ["token", "session"])
def test_wrong_credentials_are_soon_told_to_wait(wrong: str, ann: User) -> None:
    stranger = Client()
    headers = {"Authorization": "Bearer 0123456789abcdef"} if wrong == "token" else {}
    if wrong == "session":
        stranger.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32
    for _ in range(LIMIT or 0):
        problem(stranger.get(f"{API}/hosts/", headers=headers), 401)
    answer = stranger.get(f"{API}/hosts/", headers=headers)
    told = problem(answer, 429)
    assert told["code"] == "throttled"
    assert 1 <= int(answer["Retry-After"]) <= 60

    elsewhere = stranger.get(f"{API}/hosts/", headers=headers, REMOTE_ADDR="192.0.2.7")
    problem(elsewhere, 401)
    _, secret = ApiToken.objects.create(user=ann)
    right = Client().get(f"{API}/hosts/", headers={"Authorization": f"Bearer {secret}"})
    assert right.status_code == 200
    problem(Client().get(f"{API}/hosts/"), 401)  # nothing shown is nothing guessed


def test_counts_of_tries_are_shared_by_all_processes(db: None) -> None:
    assert cache.add("once", 1, 60)
    assert not cache.add("once", 1, 60)
    # In the database: it is there for every engine, and while Redis is away.
    assert Cached.objects.filter(cache_key__endswith="once").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/signup/", "/sign-up/", "/accounts/", "/accounts/signup/", "/accounts/email/",
        "/account/email/", "/account/single-sign-on/", "/sign-in/oidc/", "/sign-in/oidc/callback/",
        "/sign-in/oidc/cancelled/", "/account/passkeys/",
    ],
)  # fmt: skip
def test_what_is_not_in_use_is_not_there(path: str, client: Client, ann: User) -> None:
    sign_in(client, "ann")
    assert client.get(path).status_code == 404
