"""What a person does with a browser to get in, for tests of sign-in."""

import re
from typing import Any

from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.test import Client

from portal.core.models import Event

PASSWORD = "a long pass phrase"


def sign_in(client: Client, name: str, password: str = PASSWORD, **extra: Any) -> Any:
    """Fill in the form of the sign-in page."""
    return client.post("/sign-in/", {"login": name, "password": password}, **extra)


def code(secret: str, step: int = 0) -> str:
    """Return what an authenticator app shows now, or ``step`` times 30 s later."""
    now = list(yield_hotp_counters_from_time())[1]
    return str(format_hotp_value(hotp_value(secret, now + step)))


def confirm(client: Client, path: str) -> Any:
    """Open a page that asks for the password again, give it, and return the page."""
    asked = client.get(path)
    assert asked["Location"].startswith("/account/confirm/"), asked["Location"]
    return client.post(asked["Location"], {"password": PASSWORD, "next": path}, follow=True)


def set_up_totp(client: Client) -> str:
    """Set the second factor up as its page says; return its secret."""
    page = confirm(client, "/account/two-factor/on/").content.decode()
    found = re.search(r'class="totp-key">([A-Z2-7]+)<', page)
    assert found
    answer = client.post("/account/two-factor/on/", {"code": code(found[1])})
    assert answer["Location"] == "/account/two-factor/codes/", answer.content
    return found[1]


def told(kind: str) -> list[str]:
    """Return the texts of the events of one kind."""
    return list(Event.objects.filter(kind=f"account.{kind}").values_list("text", flat=True))
