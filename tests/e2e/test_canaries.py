"""Secrets stay secret: planted in a running portal, used and misused, looked for everywhere."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from portal.bench.rig import running
from tests.e2e.canaries import (
    Planted,
    mistakes,
    plant,
    redis_of,
    settings_with,
    sign_in,
    troubles,
    watched,
)

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e canaries")]

#: A word that is no secret and is everywhere: a search that does not find it searches nothing.
CONTROL = "what is no secret"
#: Pages of one kind, such as events, that are opened at most.
OF_A_KIND = 6


@pytest.fixture(scope="module")
def planted() -> Iterator[Planted]:
    """A portal in which secrets were planted, used and misused."""
    words: dict[str, str] = {}
    with running(**settings_with(words)) as rig:
        told = Planted(rig, words | {CONTROL: "poll"})
        plant(told)
        with watched(told):
            sign_in(told)
            mistakes(told)
            troubles(told)
        yield told


def search(planted: Planted, control: str, job: Callable[[Planted], None]) -> None:
    """Fail with every secret that ``job`` comes across; it must come across ``control``."""
    mine = Planted(planted.rig, planted.secrets | {CONTROL: control})
    job(mine)
    harmless = {leak for leak in mine.leaks if leak.startswith(CONTROL)}
    assert harmless, f"{control} was not found: this search is blind"
    assert not mine.leaks - harmless, "\n".join(sorted(mine.leaks - harmless))


def test_no_answer_process_or_message_showed_a_secret_meanwhile(planted: Planted) -> None:
    seen = {leak for leak in planted.leaks if leak.startswith(CONTROL)}
    assert {
        f"{CONTROL} in the arguments of a process", f"{CONTROL} in a message through Redis",
    } <= seen  # fmt: skip
    assert not planted.leaks - seen, "\n".join(sorted(planted.leaks - seen))


def test_nothing_that_rest_tells_is_a_secret(planted: Planted) -> None:
    search(planted, planted.rig.box.hosts[0].name, _rest)


def _rest(told: Planted) -> None:
    kind = {"Accept": "application/vnd.oai.openapi+json"}
    schema = told.rig.api.http.get(f"{told.rig.url}/api/schema/", headers=kind).json()
    paths = [path.removeprefix("/api/v1/") for path, calls in schema["paths"].items()
             if "get" in calls]  # fmt: skip
    ids: dict[str, list[Any]] = {}
    for path in (item for item in paths if "{" not in item):
        answer = told.send("GET", path)
        assert answer.status_code < 500, path
        body = answer.json() if "json" in answer.headers["Content-Type"] else {}
        rows = body.get("results", []) if isinstance(body, dict) else []
        ids[path] = [row.get("id", row.get("name")) for row in rows][:50]
    for path in (item for item in paths if "{" in item):
        for pk in ids[path.partition("{")[0]]:
            assert told.send("GET", re.sub(r"\{\w+\}", str(pk), path)).status_code == 200


def test_no_page_shows_a_secret(planted: Planted) -> None:
    search(planted, planted.rig.box.hosts[0].name, _pages)


def _pages(told: Planted) -> None:
    with httpx.Client(base_url=told.rig.url, timeout=20, follow_redirects=True) as web:
        told.rig.fill_in(web, "/sign-in/", {"login": "admin", "password": told.rig.password})
        queue = ["/", "/tokens/?all", "/search/?q=node", "/vms/bulk/?ids=1,2"]
        kinds: dict[str, int] = {}
        seen = set(queue)
        for path in queue:  # it grows
            answer = web.get(path)
            assert answer.status_code < 500, path
            told.look(f"the page {path}", answer.text)
            for link in re.findall(r'(?:href|data-live-url|data-url)="(/[^"#?]*)', answer.text):
                kind = re.sub(r"\d+", "", link)
                kinds[kind] = kinds.get(kind, 0) + (link not in seen)
                if link in seen or kinds[kind] > OF_A_KIND or link.startswith("/static/"):
                    continue
                seen.add(link)
                queue.append(link)
        assert {"/users/", "/notifications/", "/self-check/", "/power-controllers/"} <= seen


def test_no_file_of_the_portal_holds_a_secret_in_clear(planted: Planted) -> None:
    search(planted, planted.rig.box.hosts[0].name, _files)


def _files(told: Planted) -> None:
    folder, names = told.rig.folder, set()
    for path in folder.rglob("*"):
        # What is in the box is the hardware's own memory.
        if path.is_file() and "box" not in path.relative_to(folder).parts:
            told.look(f"the file {path.relative_to(folder)}", path.read_bytes())
            names.add(path.name)
    assert {"portal.sqlite3", "portal.sqlite3-wal", "web.log", "fence.log"} <= names, sorted(names)


def test_redis_holds_no_secret(planted: Planted) -> None:
    search(planted, "_kombu", _redis)


def _redis(told: Planted) -> None:
    link = redis_of(told.rig)
    for number in range(int(link.config_get("databases")["databases"])):
        link.select(number)
        for key in link.scan_iter():
            told.look("a key of Redis", key)
            ask = {
                "string": link.get, "hash": link.hgetall, "set": link.smembers,
                "list": lambda name: link.lrange(name, 0, -1),
                "zset": lambda name: link.zrange(name, 0, -1),
            }  # fmt: skip
            read = ask.get(link.type(key).decode())
            told.look(f"the value of {key!r} in Redis", repr(read(key)) if read else "")
