"""Secrets with unmistakable values, planted in a running portal, and troubles that use them."""

import base64
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from redis import Redis

from portal.bench.rig import Rig, until

#: What is answered with a secret, once.
SHOWN_ONCE = {"tokens/": {"name": "canary", "scope": "admin"}, "users/": {"username": "canary"}}
#: Nobody listens there.
NOWHERE = "127.0.0.1:9"


def key(name: str) -> dict[str, str]:
    """Return the header of a request that is sent twice."""
    return {"Idempotency-Key": f"the one for {name}"}


def draw() -> str:
    """Return a text that is found nowhere by chance; a BMC takes one of that length."""
    return f"cnry{secrets.token_hex(6)}"


@cache
def forms(word: str) -> tuple[bytes, ...]:
    """Return how a text looks as it is, and inside of a longer one in base64."""
    raw, found = word.encode(), []
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw)
        found.append(whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])
    return (raw, *found)


@dataclass
class Planted:
    """A portal with secrets in it, and what was seen of it meanwhile."""

    rig: Rig
    secrets: dict[str, str] = field(default_factory=dict)
    #: Where a secret was shown that must not be.
    leaks: set[str] = field(default_factory=set)

    def look(self, where: str, text: str | bytes) -> None:
        """Note every secret that ``text`` shows."""
        raw = text.encode(errors="replace") if isinstance(text, str) else text
        for name, word in self.secrets.items():
            if any(form in raw for form in forms(word)):
                self.leaks.add(f"{name} in {where}")

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Call the API as the administrator; whatever it answers is looked at."""
        raw = {"content": body} if isinstance(body, str) else {"json": body}
        kind = {"Content-Type": "application/json"} if isinstance(body, str) else {}
        answer = self.rig.api.http.request(method, path, headers={**headers, **kind}, **raw)
        self.look(f"the answer to {method} {path}", answer.text)
        return answer


def settings_with(planted: dict[str, str]) -> dict[str, str]:
    """Return the environment of a portal whose settings hold secrets, too."""
    planted["mail password"], planted["OIDC secret"] = draw(), draw()
    return {
        "HOLDFAST_SMTP_URL": f"smtp://user:{planted['mail password']}@{NOWHERE}",
        "HOLDFAST_OIDC_URL": f"http://{NOWHERE}",
        "HOLDFAST_OIDC_CLIENT": "holdfast",
        "HOLDFAST_OIDC_SECRET": planted["OIDC secret"],
    }


def plant(told: Planted) -> None:
    """Enter secrets as people do; what shows one once by design is not looked at."""
    http, box = told.rig.api.http, told.rig.box
    told.secrets |= {f"BMC password of {item.name}": item.bmc_password for item in box.hosts}
    token, made = (
        http.post(path, json=body, headers=key(path)) for path, body in SHOWN_ONCE.items()
    )
    assert (token.status_code, made.status_code) == (201, 201)
    told.secrets["token"] = token.json()["token"]
    told.secrets["one-time password"] = made.json()["password"]
    told.secrets["administrator's password"] = told.rig.password
    told.secrets["own password"] = draw()
    told.secrets["webhook secret"] = draw()
    told.secrets["wrong BMC password"] = draw()
    told.secrets["wrong password of a person"] = draw()


def sign_in(told: Planted) -> None:
    """Use the one-time password, after a wrong one; choose a password."""
    old, new = told.secrets["one-time password"], told.secrets["own password"]
    with httpx.Client(base_url=told.rig.url, timeout=10, follow_redirects=True) as web:
        wrong = {"login": "canary", "password": told.secrets["wrong password of a person"]}
        told.look("the page after a wrong password", told.rig.fill_in(web, "/sign-in/", wrong).text)
        first = told.rig.fill_in(web, "/sign-in/", {"login": "canary", "password": old})
        assert first.url.path == "/password/"
        form = {"old_password": old, "new_password1": new, "new_password2": new}
        told.look("the page after a new password", told.rig.fill_in(web, "/password/", form).text)
        told.look("the page of the provider", web.get("/sign-in/oidc/").text)


def mistakes(told: Planted) -> None:
    """Send what is refused, with secrets in it, and the same twice."""
    wrong, hook = told.secrets["wrong BMC password"], told.secrets["webhook secret"]
    row = told.rig.api.get("power-controllers/")[0]
    path, match = f"power-controllers/{row['id']}/", {"If-Match": "*"}
    for body in (
        {"password": wrong}, {"password": wrong, "port": "x"}, {"pasword": wrong},
        {"password": [wrong]}, {"password": wrong * 20}, f'{{"password": "{wrong}',
    ):  # fmt: skip
        assert told.send("PATCH", path, body, **match).status_code == 400
    told.send("POST", "trials/power/", {"host": row["host"], "address": "127.0.0.1",
              "port": row["port"], "username": "admin", "password": wrong})  # fmt: skip
    fields = {"name": "hook", "kind": "webhook", "address": f"http://{NOWHERE}/", "secret": hook}
    told.send("POST", "notification-targets/", fields | {"kind": "email"})
    told.send("POST", "notification-targets/", fields | {"secret": hook[:15]})
    for _ in range(2):
        assert told.send("POST", "notification-targets/", fields, **key("hook")).status_code == 201
    for path, body in SHOWN_ONCE.items():
        assert told.send("POST", path, body, **key(path)).status_code == 409
    bearer = {"Authorization": f"Bearer {told.secrets['token'][:-1]}"}
    assert told.send("GET", "hosts/", **bearer).status_code == 401
    bearer = {"Authorization": f"Bearer {told.secrets['token']}"}
    assert told.send("GET", "hosts/", **bearer).status_code == 200


def troubles(told: Planted) -> None:
    """Let a webhook, a mail and a BMC's password fail, and a host be fenced."""
    mail = {"name": "post", "kind": "email", "address": "ops@example.org"}
    assert told.send("POST", "notification-targets/", mail).status_code == 201
    for row in told.rig.api.get("notification-targets/"):
        test = told.send("POST", f"notification-targets/{row['id']}/actions/test/", {})
        _ended(told, test)
    host = told.rig.box.hosts[0].name
    pk = told.rig.api.named("hosts/", host)["id"]
    told.rig.control.do("bmc.auth_fail", host=host)
    _ended(told, told.send("POST", f"hosts/{pk}/actions/fence/", {"action": "status"}))
    _ended(told, told.send("POST", f"hosts/{pk}/actions/fence/", {"action": "off"}), wait=False)
    told.rig.control.do("bmc.repair", host=host)
    until(lambda: told.rig.api.get("events/", kind="host.proven_off"), 90, "the fence", every=0.2)


def _ended(told: Planted, answer: httpx.Response, *, wait: bool = True) -> None:
    assert answer.status_code == 202, answer.text
    where = answer.headers["Location"]
    ends = ("done", "failed", "refused", "cancelled")
    if wait:
        until(lambda: told.send("GET", where).json()["state"] in ends, 60, where, every=0.1)


@contextmanager
def watched(told: Planted) -> Iterator[None]:
    """Look at all processes' arguments, and at all that passes through Redis, meanwhile."""
    stop = threading.Event()
    jobs = [threading.Thread(target=job, args=(told, stop)) for job in (_arguments, _messages)]
    for job in jobs:
        job.start()
    try:
        yield
    finally:
        stop.set()
        for job in jobs:
            job.join(10)


def _arguments(told: Planted, stop: threading.Event) -> None:
    while not stop.wait(0.02):
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                told.look("the arguments of a process", entry.read_bytes())


def redis_of(rig: Rig) -> Any:
    """Return a connection to the private Redis, whose types are half written."""
    return Redis(unix_socket_path=str(rig.folder / "run" / "redis.sock"))


def _messages(told: Planted, stop: threading.Event) -> None:
    with redis_of(told.rig).monitor() as seen:
        while not stop.is_set():  # something passes every second
            told.look("a message through Redis", str(seen.next_command()["command"]))
