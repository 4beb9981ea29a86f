"""Sign-in through a provider: who is let in, as what, and every answer that is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.sessions.models import Session
from django.test import Client

from portal.core.models import Event, Role, RoleBinding, User
from tests.api.conftest import Centre, add_person
from tests.web.people import PASSWORD, sign_in, told
from tests.web.provider import CLIENT, SECRET, Provider, serve
from tests.web.test_pages import Inline

PATH = "/sign-in/oidc/"
BACK = "/sign-in/oidc/callback/"


@pytest.fixture
def provider(centre: Centre, settings: Any) -> Iterator[Provider]:
    """A provider that the portal is set to, and that it lets new people in from."""
    made = Provider({"sub": "17", "preferred_username": "olga", "email": "olga@example.org"})
    server = serve(made)
    settings.HOLDFAST_OIDC = {"name": "Example", "sign_up": True, "roles": {}}
    app = {"provider_id": "oidc", "name": "Example", "client_id": CLIENT, "secret": SECRET}
    app["settings"] = {"server_url": made.url}  # type: ignore[assignment]  # as allauth wants it
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}
    }
    yield made
    server.shutdown()
    server.server_close()


def come(client: Client, provider: Provider, path: str = PATH) -> Any:
    """Go to the provider, agree, and come back."""
    return client.get(BACK + provider.visit(client.get(path)["Location"]))


def refused(answer: Any) -> bool:
    """Whether the page says that nothing was done."""
    return answer.status_code == 401 and "Single sign-on failed" in answer.content.decode()


def test_somebody_new_comes_in_without_a_role(provider: Provider, client: Client) -> None:
    page = client.get("/sign-in/").content.decode()
    assert "Sign in with Example" in page
    assert f'href="{PATH}"' in page
    assert come(client, provider)["Location"] == "/"
    olga = User.objects.get(username="olga")
    assert not olga.has_usable_password()
    assert not RoleBinding.objects.filter(user=olga).exists()
    assert client.get("/").status_code == 403
    text = client.get("/account/").content.decode()
    assert "ask an administrator for a role" in text
    assert "you sign in through Example" in text
    assert client.get("/password/")["Location"] == "/account/"
    assert told("created") == ["olga came through single sign-on, without a role"]
    assert Event.objects.get(kind="account.signed_in").evidence["shown"] == ["socialaccount"]


def test_the_same_person_comes_again_even_under_another_name(
    provider: Provider, client: Client
) -> None:
    come(client, provider)
    provider.claims["preferred_username"] = "olga.new"
    again = Client()
    assert come(again, provider)["Location"] == "/"
    assert User.objects.filter(username__startswith="olga").count() == 1


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["vm-users", "vm-admins"], Role.ADMIN),
        ("vm-users", Role.OPERATOR),
        (["others"], Role.VIEWER),
        ({"not": "a list"}, Role.VIEWER),
    ],
)
def test_groups_give_a_new_person_its_role(
    groups: Any, role: Role, provider: Provider, client: Client, settings: Any
) -> None:
    roles = {"vm-admins": "admin", "vm-users": "operator", "*": "viewer"}
    settings.HOLDFAST_OIDC = settings.HOLDFAST_OIDC | {"roles": roles}
    provider.claims["groups"] = groups
    come(client, provider)
    binding = RoleBinding.objects.get(user__username="olga")
    assert (binding.role, binding.scope_type) == (role, "all")
    assert client.get("/").status_code == 200


def test_nobody_new_comes_in_where_that_is_not_allowed(
    provider: Provider, client: Client, settings: Any
) -> None:
    settings.HOLDFAST_OIDC = settings.HOLDFAST_OIDC | {"sign_up": False}
    answer = come(client, provider)
    assert "You are not known here" in answer.content.decode()
    assert not User.objects.filter(username="olga").exists()


def test_the_name_of_somebody_else_opens_nothing(provider: Provider, client: Client) -> None:
    boss = add_person("olga", Role.ADMIN)
    User.objects.filter(pk=boss.pk).update(email="olga@example.org")
    come(client, provider)
    assert client.get("/").status_code == 403
    assert SocialAccount.objects.get().user != boss


def test_the_same_subject_of_another_issuer_is_another_person(
    provider: Provider, client: Client, settings: Any
) -> None:
    come(client, provider)
    first = SocialAccount.objects.get().user
    other = Provider(dict(provider.claims))
    server = serve(other)
    try:
        app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
        app["settings"] = {"server_url": other.url}
        come(Client(), other)
    finally:
        server.shutdown()
        server.server_close()
    assert SocialAccount.objects.exclude(user=first).count() == 1


LIES: list[dict[str, Any]] = [
    {"token_claims": {"nonce": "another"}},
    {"token_claims": {"nonce": None}},
    {"token_claims": {"iss": "https://evil.example"}},
    {"token_claims": {"aud": "another client"}},
    {"token_claims": {"exp": 1}},
    {"token_claims": {"sub": "18"}},
    {"info_claims": {"sub": "18"}},
    {"without_id_token": True},
    {"broken": "/token"},
    {"broken": "/userinfo"},
]


@pytest.mark.parametrize("lie", LIES, ids=[str(lie) for lie in LIES])
def test_an_answer_that_is_not_in_order_opens_nothing(
    lie: dict[str, Any], provider: Provider, client: Client
) -> None:
    for name, value in lie.items():
        setattr(provider, name, value)
    assert refused(come(client, provider))
    assert client.get("/")["Location"].startswith("/sign-in/")
    assert not User.objects.filter(username="olga").exists()


def test_a_state_that_was_not_given_out_opens_nothing(provider: Provider, client: Client) -> None:
    provider.visit(client.get(PATH)["Location"])
    calls = len(provider.calls)
    assert refused(client.get(f"{BACK}?code=abc&state=another"))
    assert refused(client.get(f"{BACK}?code=abc"))
    assert refused(Client().get(f"{BACK}?code=abc&state={provider.asked['state']}"))
    assert "/token" not in provider.calls[calls:]


def test_an_answer_is_taken_once(provider: Provider, client: Client) -> None:
    back = provider.visit(client.get(PATH)["Location"])
    assert client.get(BACK + back).status_code == 302
    assert refused(client.get(BACK + back))


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", None])
def test_a_provider_that_is_away_is_told_and_local_people_still_come_in(
    path: str | None, provider: Provider, client: Client, settings: Any
) -> None:
    provider.broken = path or ""
    if path is None:
        app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
        app["settings"] = {"server_url": "http://127.0.0.1:1"}
    assert refused(client.get(PATH))
    add_person("ann", Role.VIEWER)
    assert sign_in(client, "ann")["Location"] == "/"


def test_who_stops_at_the_provider_is_told_so(provider: Provider, client: Client) -> None:
    provider.visit(client.get(PATH)["Location"])
    query = f"?error=access_denied&state={provider.asked['state']}"
    answer = client.get(BACK + query, follow=True)
    assert "You stopped it" in answer.content.decode()
    found = Inline()
    found.feed(answer.content.decode())
    assert found.found == []


def test_a_disabled_person_does_not_come_in(provider: Provider, client: Client) -> None:
    come(client, provider)
    User.objects.filter(username="olga").update(is_active=False)
    answer = Client().get("/sign-in/")
    other = Client()
    answer = come(other, provider)
    assert "disabled" in other.get(answer["Location"]).content.decode()
    assert other.get("/")["Location"].startswith("/sign-in/")


def test_a_local_person_connects_the_provider_after_the_password(
    provider: Provider, client: Client
) -> None:
    ann = add_person("ann", Role.VIEWER)
    sign_in(client, "ann")
    assert "Connect" in client.get("/account/single-sign-on/").content.decode()
    asked = come(client, provider, f"{PATH}?process=connect")
    assert asked["Location"] == "/account/confirm/"
    assert not SocialAccount.objects.exists()
    client.post("/account/confirm/", {"password": PASSWORD})
    assert SocialAccount.objects.get().user == ann
    other = Client()
    assert come(other, provider)["Location"] == "/"
    assert other.get("/").status_code == 200
    assert told("connected") == ["ann connected single sign-on"]

    client.post("/account/single-sign-on/", {"account": SocialAccount.objects.get().pk})
    assert not SocialAccount.objects.exists()
    assert told("disconnected") == ["ann disconnected single sign-on"]


def test_the_last_way_in_is_not_taken_away(provider: Provider, client: Client) -> None:
    come(client, provider)
    pk = SocialAccount.objects.get().pk
    page = client.post("/account/single-sign-on/", {"account": pk})
    assert "no password" in page.content.decode()
    assert SocialAccount.objects.exists()


def test_nothing_of_the_provider_is_kept_that_opens_it(provider: Provider, client: Client) -> None:
    add_person("ann", Role.VIEWER)
    sign_in(client, "ann")
    come(client, provider, f"{PATH}?process=connect")
    sessions = [str(session.get_decoded()) for session in Session.objects.all()]
    assert any("olga" in text for text in sessions)
    kept = [*sessions, *(str(event.evidence) + event.text for event in Event.objects.all())]
    assert not [text for text in kept if "the access token" in text or SECRET in text]
    assert not SocialToken.objects.exists()
