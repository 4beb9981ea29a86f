"""How long lists take with many rows, and whether their number of queries stays the same.

Times are those of a client that keeps its connection open, against a real web server;
queries are counted in a process inside, with few rows and with all.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from portal.bench.cases import CASES, Size
from portal.bench.figures import ms, percentile
from portal.bench.place import Place, places
from portal.bench.rig import RigError

#: The rows of the small portal that queries are compared with.
FEW = Size(10, 10)
_WARM_UP = 3


class Filled:
    """A place with rows in it, and how many queries each case makes there."""

    def __init__(self, place: Place, names: list[str], size: Size) -> None:
        self.place = place
        with place.inside() as inside:
            filled = inside.ask("fill", hosts=size.hosts, vms=size.vms)
            self.rows: dict[str, int] = filled["rows"]
            self.people: dict[str, dict[str, str]] = filled["people"]
            self.paths = {name: CASES[name].path.format(**filled["words"]) for name in names}
            self.queries: dict[str, int] = inside.ask("count", paths=self.paths, people=self.people)


def lines(
    database: str, names: list[str], n: int, size: Size, say: Callable[[str], object]
) -> Iterator[dict[str, Any]]:
    """Yield one line per case, on one kind of database."""
    with places(database, 2) as (small, large):
        say(f"{database}: making {size}")
        few = Filled(small, names, FEW)
        filled = Filled(large, names, size)
        with large.serving(), httpx.Client(base_url=large.url, timeout=60) as web:
            for name in names:
                case, path = CASES[name], filled.paths[name]
                times, answer = measure(web, name, path, case.headers(filled.people), n)
                yield {
                    "bench": "api",
                    "case": f"{database}/{name}",
                    "n": n,
                    "p50_ms": ms(percentile(times, 50)),
                    "p95_ms": ms(percentile(times, 95)),
                    "limit_ms": case.limit_ms,
                    "queries": filled.queries[name],
                    "queries_small": few.queries[name],
                    "rows": filled.rows[case.table],
                    "shown": len(answer.json()["results"]) if case.is_api else None,
                    "bytes": len(answer.content),
                }


def measure(
    web: httpx.Client, name: str, path: str, headers: dict[str, str], n: int
) -> tuple[list[float], httpx.Response]:
    """Return the times of ``n`` GETs after a warm-up, and the last answer; all must be a 200."""
    times = []
    for _ in range(_WARM_UP + n):
        start = time.monotonic()
        answer = web.get(path, headers=headers)
        times.append(time.monotonic() - start)
        if answer.status_code != 200:
            raise RigError(f"{name}: {path} answered {answer.status_code}: {answer.text[:500]}")
    return times[_WARM_UP:], answer


def faults(line: dict[str, Any]) -> list[str]:
    """Return what is wrong with a line, in words."""
    found = []
    if line["p95_ms"] > line["limit_ms"]:
        found.append(f"{line['case']}: p95 {line['p95_ms']} ms, {line['limit_ms']:g} allowed")
    if line["queries"] > line["queries_small"]:
        more = f"{line['queries']} queries, {line['queries_small']} with few rows"
        found.append(f"{line['case']}: {more}")
    return found
