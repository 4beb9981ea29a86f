"""One's own account: where one is signed in, and how that ends."""

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client

from portal.core.models import Role, User
from tests.api.conftest import Centre, add_person
from tests.web.people import PASSWORD, sign_in, told

END = "/account/sessions/end/"


@pytest.fixture
def ann(centre: Centre) -> User:
    """Return a person who may look."""
    return add_person("ann", Role.VIEWER)


def browser(name: str, address: str, agent: str = "Firefox") -> Client:
    """Return a browser somewhere, in which a person is signed in."""
    client = Client(REMOTE_ADDR=address, headers={"User-Agent": agent})
    assert sign_in(client, name).status_code == 302
    return client


def is_in(client: Client) -> bool:
    """Whether the browser is still signed in."""
    return client.get("/").status_code == 200


def test_the_account_shows_roles_factors_and_sessions(ann: User) -> None:
    here = browser("ann", "192.0.2.1")
    browser("ann", "192.0.2.2", "Lynx <b>")
    text = here.get("/account/").content.decode()
    for words in ("viewer", "everything", "192.0.2.1", "this browser", "192.0.2.2", "Lynx &lt;b"):
        assert words in text
    assert "Two-factor sign-in is off" in text
    assert "HA armed" in text  # the header of every page


def test_who_has_no_role_sees_the_account_and_nothing_of_the_centre(centre: Centre) -> None:
    add_person("new")
    text = browser("new", "192.0.2.1").get("/account/").content.decode()
    assert "ask an administrator for a role" in text
    assert centre.cluster.name + "</span>" not in text


def test_one_session_is_ended(ann: User) -> None:
    here, there, third = (browser("ann", f"192.0.2.{number}") for number in (1, 2, 3))
    pk = UserSession.objects.get(ip="192.0.2.2").pk
    assert here.post(END, {"session": pk}, follow=True).status_code == 200
    assert (is_in(here), is_in(there), is_in(third)) == (True, False, True)
    assert told("session_revoked") == ["ann ended the session of 192.0.2.2"]


@pytest.mark.parametrize(("which", "stays"), [("others", True), ("all", False)])
def test_sessions_elsewhere_or_everywhere_are_ended(which: str, stays: bool, ann: User) -> None:
    here, there = browser("ann", "192.0.2.1"), browser("ann", "192.0.2.2")
    here.post(END, {"session": which})
    assert (is_in(here), is_in(there)) == (stays, False)
    assert len(told("session_revoked")) == 1


@pytest.mark.parametrize("wish", ["", "x", "-1", "٣", "99999999999999999999", None])
def test_nobody_ends_the_session_of_somebody_else(wish: str | None, ann: User) -> None:
    add_person("eve", Role.ADMIN)
    eve, victim = browser("eve", "192.0.2.6"), browser("ann", "192.0.2.1")
    pk = UserSession.objects.get(user=ann).pk
    assert eve.post(END, {"session": pk if wish is None else wish}).status_code == 404
    assert eve.get(END).status_code == 405
    assert is_in(victim)


def test_a_new_password_ends_the_sessions_elsewhere(ann: User) -> None:
    here, there = browser("ann", "192.0.2.1"), browser("ann", "192.0.2.2")
    form = {
        "old_password": PASSWORD,
        "new_password1": "quite another",
        "new_password2": "quite another",
    }
    assert here.post("/password/", form)["Location"] == "/account/"
    assert (is_in(here), is_in(there)) == (True, False)
    text = here.get("/account/").content.decode()
    assert "192.0.2.1" in text
    assert "192.0.2.2" not in text


def test_a_session_that_was_left_is_no_longer_listed(ann: User) -> None:
    here, there = browser("ann", "192.0.2.1"), browser("ann", "192.0.2.2")
    there.post("/sign-out/")
    assert "192.0.2.2" not in here.get("/account/").content.decode()
