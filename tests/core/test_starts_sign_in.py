"""Settings of sign-in that cannot be used: one sentence that names the setting and the cure."""

from pathlib import Path

import pytest

from portal.lib import starting
from tests.core.starting import call, refusal

OIDC = {
    "HOLDFAST_OIDC_URL": "https://login.example/realms/people",
    "HOLDFAST_OIDC_CLIENT": "holdfast",
    "HOLDFAST_OIDC_SECRET": "hunter2",
}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HOLDFAST_OIDC_URL", "http://login.example", "https://"),
        ("HOLDFAST_OIDC_URL", "https://login.example/?x=1", "without ?"),
        ("HOLDFAST_OIDC_CLIENT", "", "HOLDFAST_OIDC_CLIENT is not"),
        ("HOLDFAST_OIDC_SECRET", "", "HOLDFAST_OIDC_SECRET is not"),
        ("HOLDFAST_OIDC_ROLES", "staff=king", "viewer, operator, admin"),
        ("HOLDFAST_OIDC_SIGN_UP", "perhaps", "yes or no"),
        ("HOLDFAST_REQUIRE_2FA", "perhaps", "yes or no"),
    ],
)
def test_a_setting_of_sign_in_that_cannot_be_used_is_told_in_one_sentence(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    said = call(tmp_path, "check", env=OIDC | {name: value})
    refusal(said, name if value else "HOLDFAST_OIDC_URL", words)
    assert "hunter2" not in said.stdout + said.stderr


def test_a_provider_is_read_with_its_secret_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    env = OIDC | {"HOLDFAST_OIDC_SECRET": "", "HOLDFAST_OIDC_SECRET_FILE": str(secret)}
    env["HOLDFAST_OIDC_ROLES"] = "staff=viewer"
    code = (
        "from django.conf import settings as s; "
        "print(s.SOCIALACCOUNT_PROVIDERS['openid_connect']['APPS'][0]['secret'] == 'hunter2', "
        "s.HOLDFAST_OIDC['roles'])"
    )
    said = call(tmp_path, "shell", "--no-imports", "-c", code, env=env)
    assert said.stdout.split("\n")[0] == "True {'staff': 'viewer'}", said.stderr


def test_the_address_of_an_issuer_is_taken_as_people_have_it() -> None:
    whole = "https://login.example/realms/x/.well-known/openid-configuration"
    assert starting.issuer(whole) == "https://login.example/realms/x"
    assert starting.issuer("http://127.0.0.1:8080/") == "http://127.0.0.1:8080"


def test_roles_are_read_for_groups_with_odd_names() -> None:
    text = "cn=admins,ou=vm=admin ; *=viewer;"
    assert starting.roles(text) == {"cn=admins,ou=vm": "admin", "*": "viewer"}
