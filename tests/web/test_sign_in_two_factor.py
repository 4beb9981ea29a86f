"""The second factor: codes that work once, recovery codes, and an administrator who requires it."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from portal.core.models import Event, Role, User
from tests.api.conftest import API, Centre, add_person, problem
from tests.web.people import code, confirm, set_up_totp, sign_in, told
from tests.web.test_pages import Inline

ON, OFF, CODES = (f"/account/two-factor/{name}/" for name in ("on", "off", "codes"))


@pytest.fixture
def ann(centre: Centre) -> User:
    """Return a person who may look."""
    return add_person("ann", Role.VIEWER)


@pytest.fixture
def browser(ann: User) -> Client:
    """Return the browser in which the person is signed in."""
    client = Client()
    sign_in(client, "ann")
    return client


def test_a_code_is_asked_for_and_works_once(browser: Client) -> None:
    secret = set_up_totp(browser)
    first, second = Client(), Client()
    shown = code(secret)
    for client in (first, second):
        assert sign_in(client, "ann")["Location"] == "/sign-in/code/"
        assert client.get("/")["Location"].startswith("/sign-in/")
        problem(client.get(f"{API}/hosts/"), 401)
    assert first.post("/sign-in/code/", {"code": shown})["Location"] == "/"
    assert first.get("/").status_code == 200
    again = second.post("/sign-in/code/", {"code": f"{shown[:3]} {shown[3:]}"})
    assert "used already" in again.content.decode()
    assert second.post("/sign-in/code/", {"code": code(secret, 1)})["Location"] == "/"
    assert told("two_factor_on") == ["ann set up two-factor sign-in"]
    last = Event.objects.filter(kind="account.signed_in").latest("pk")
    assert last.evidence["shown"] == ["password", "totp"]


def test_the_page_that_asks_for_a_code_can_be_left_for_somebody_else(browser: Client) -> None:
    set_up_totp(browser)
    client = Client()
    sign_in(client, "ann")
    assert 'action="/sign-out/"' in client.get("/sign-in/code/").content.decode()
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/sign-in/").status_code == 200
    assert client.get("/sign-in/code/")["Location"] == "/sign-in/"  # the password is forgotten
    add_person("ben", Role.VIEWER)
    assert sign_in(client, "ben")["Location"] == "/"


def test_codes_cannot_be_guessed(browser: Client) -> None:
    secret = set_up_totp(browser)
    client = Client()
    sign_in(client, "ann")
    for _ in range(5):
        page = client.post("/sign-in/code/", {"code": "nonsense"}).content.decode()
        assert "The code is wrong" in page
    page = client.post("/sign-in/code/", {"code": code(secret)}).content.decode()
    assert "wait five minutes" in page
    assert len(told("wrong_code")) == 5
    assert "after the right password" in told("wrong_code")[0]


def test_a_recovery_code_works_once(browser: Client) -> None:
    set_up_totp(browser)
    page = browser.get(CODES).content.decode()
    found = re.findall(r"<li><code>(\d+)</code>", page)
    assert len(found) == 10
    for client, expected in ((Client(), 302), (Client(), 200)):
        sign_in(client, "ann")
        assert client.post("/sign-in/code/", {"code": found[0]}).status_code == expected
    assert "9 of 10" in browser.get(CODES).content.decode()
    assert len(told("recovery_code")) == 1
    assert browser.post(f"{CODES}new/")["Location"] == CODES
    new = re.findall(r"<li><code>(\d+)</code>", browser.get(CODES).content.decode())
    assert not set(new) & set(found)
    assert told("recovery_codes") == ["ann made new recovery codes"]


def test_secrets_lie_encrypted_in_the_database(browser: Client) -> None:
    page = confirm(browser, ON).content.decode()
    secret = re.findall(r'class="totp-key">([A-Z2-7]+)<', page)[0]
    waiting = [str(session.get_decoded()) for session in Session.objects.all()]
    assert any("mfa.totp.secret" in text for text in waiting)
    assert not any(secret in text for text in waiting)
    browser.post(ON, {"code": code(secret)})
    kept = Authenticator.objects.get(type="totp").data["secret"]
    assert secret not in kept
    assert kept.startswith("gAAAA")
    assert not any(secret in str(event.evidence) + event.text for event in Event.objects.all())


def test_a_wrong_code_sets_nothing_up_and_keeps_the_key(browser: Client) -> None:
    page = confirm(browser, ON).content.decode()
    secret = re.findall(r'class="totp-key">([A-Z2-7]+)<', page)[0]
    again = browser.post(ON, {"code": "000"}).content.decode()
    assert "The code is wrong" in again
    assert secret in again
    assert not Authenticator.objects.exists()
    assert browser.post(ON, {"code": code(secret)}).status_code == 302


def test_it_is_switched_off_only_after_the_password(browser: Client) -> None:
    set_up_totp(browser)
    client = Client()
    sign_in(client, "ann")
    client.post("/sign-in/code/", {"code": code(_secret(), 1)})
    assert client.post(OFF)["Location"].startswith("/account/confirm/")
    assert Authenticator.objects.count() == 2
    confirm(client, OFF)  # what was asked for before the password is done after it
    assert not Authenticator.objects.exists()
    assert told("two_factor_off") == ["ann switched two-factor sign-in off"]
    assert sign_in(Client(), "ann")["Location"] == "/"


def _secret() -> str:
    return str(decrypt(Authenticator.objects.get(type="totp").data["secret"]))


def test_a_wrong_password_confirms_nothing(browser: Client) -> None:
    asked = browser.get(ON)["Location"]
    page = browser.post(asked, {"password": "wrong", "next": ON})
    assert "The password is wrong" in page.content.decode()
    assert browser.get(ON).status_code == 302


def test_without_the_key_file_a_page_says_what_to_do(browser: Client) -> None:
    set_up_totp(browser)
    with connection.cursor() as cursor:
        cursor.execute("""UPDATE mfa_authenticator SET data = '{"secret": "gAAAAbroken"}'""")
    client = Client()
    sign_in(client, "ann")
    answer = client.post("/sign-in/code/", {"code": "123456"})
    assert answer.status_code == 503
    assert "reset-access" in answer.content.decode()


def test_when_it_is_required_nothing_else_is_open_before(browser: Client, settings: Any) -> None:
    settings.HOLDFAST_REQUIRE_2FA = True
    assert browser.get("/")["Location"] == ON
    told = problem(browser.get(f"{API}/hosts/"), 403)
    assert "two-factor" in told["detail"]
    assert "requires it" in confirm(browser, ON).content.decode()
    set_up_totp_again(browser)
    assert browser.get("/").status_code == 200
    page = browser.post(OFF)
    assert "HOLDFAST_REQUIRE_2FA" in page.content.decode()
    assert Authenticator.objects.filter(type="totp").exists()
    assert OFF not in browser.get("/account/").content.decode()


def set_up_totp_again(browser: Client) -> None:
    """Set it up in a browser that has just given the password."""
    page = browser.get(ON).content.decode()
    secret = re.findall(r'class="totp-key">([A-Z2-7]+)<', page)[0]
    assert browser.post(ON, {"code": code(secret)}).status_code == 302


def test_no_page_of_the_account_has_inline_script_or_style(browser: Client) -> None:
    pages = [browser.get("/account/"), confirm(browser, ON), browser.get("/password/")]
    set_up_totp_again(browser)
    pages += [browser.get(path) for path in (OFF, CODES, f"{CODES}new/", "/account/")]
    client = Client()
    sign_in(client, "ann")
    pages += [client.get("/sign-in/code/"), client.get("/sign-in/disabled/")]
    asked = Client()
    sign_in(asked, "ann")
    asked.post("/sign-in/code/", {"code": code(_secret(), 1)})
    pages += [asked.get("/account/confirm/"), asked.get("/account/confirm/code/")]
    for page in pages:
        assert page.status_code == 200
        assert "unsafe" not in page["Content-Security-Policy"]
        text = page.content.decode()
        assert "static/holdfast.css" in text  # the portal's own, not allauth's
        found = Inline()
        found.feed(text)
        assert found.found == []
