"""From the commit of a change until the last of many open pages has been told.

The change is committed by a process of its own; times are monotonic, which all
processes of one computer share.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from portal.bench.cases import Size
from portal.bench.figures import ms, percentile
from portal.bench.place import Inside, Place, places
from portal.bench.rig import RigError

#: From commit to the last client, at the 99th percentile.
LIMIT_MS = 500.0
#: A page that has heard nothing after this long never will.
GIVE_UP_S = 15.0


def lines(
    database: str, clients: int, n: int, size: Size, say: Callable[[str], object]
) -> Iterator[dict[str, Any]]:
    """Yield the one line of one kind of database."""
    with places(database, 1) as (place,), place.inside() as inside:
        say(f"{database}: making {size} and {clients} signed-in people")
        inside.ask("fill", hosts=size.hosts, vms=size.vms)
        people = inside.ask("crowd", clients=clients)
        with place.serving():
            bench = _Pages(place, inside, people["hosts"])
            times = asyncio.run(bench.run(people["cookies"], n))
    yield {
        "bench": "push",
        "case": f"{database}/push",
        "n": n,
        "clients": clients,
        "narrow": clients // 2,
        "p50_ms": ms(percentile(times, 50)),
        "p99_ms": ms(percentile(times, 99)),
        "worst_ms": ms(max(times)),
        "limit_ms": LIMIT_MS,
    }


class _Pages:
    """Open pages: nothing but their WebSockets."""

    def __init__(self, place: Place, inside: Inside, hosts: list[int]) -> None:
        self.place = place
        self.inside = inside
        self.hosts = hosts

    async def run(self, cookies: list[str], n: int) -> list[float]:
        """Return, for each of ``n`` commits, the seconds until the last page was told."""
        async with AsyncExitStack() as stack:
            pages = [await stack.enter_async_context(self._page(cookie)) for cookie in cookies]
            for page in pages:  # an answered ping: the page is in the group by now
                await page.send('{"type": "ping"}')
                await asyncio.wait_for(page.recv(), GIVE_UP_S)
            return [await self._once(pages, turn) for turn in range(n)]

    def _page(self, cookie: str) -> connect:
        return connect(
            f"ws://127.0.0.1:{self.place.port}/ws/live/",
            origin=Origin(self.place.url),
            additional_headers={"Cookie": cookie},
            compression=None,
        )

    async def _once(self, pages: list[ClientConnection], turn: int) -> float:
        host = self.hosts[turn % len(self.hosts)]
        told = [asyncio.create_task(_told(page, host)) for page in pages]
        committed = await asyncio.to_thread(self.inside.ask, "edit", host=host, turn=turn)
        done, silent = await asyncio.wait(told, timeout=GIVE_UP_S)
        if silent:
            raise RigError(f"{len(silent)} of {len(pages)} pages were not told of commit {turn}")
        return max(task.result() for task in done) - float(committed)


async def _told(page: ClientConnection, host: int) -> float:
    """Return when a page was told that ``host`` changed."""
    while True:
        frame = json.loads(await page.recv())
        now = time.monotonic()
        if any(one["type"] == "host" and one["id"] == host for one in frame.get("changes", ())):
            return now


def faults(line: dict[str, Any]) -> list[str]:
    """Return what is wrong with the line, in words."""
    if line["p99_ms"] <= line["limit_ms"]:
        return []
    return [f"{line['case']}: p99 {line['p99_ms']} ms, {line['limit_ms']:g} allowed"]
