"""The bench itself, at tiny sizes: what it prints, what it refuses, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.urls import Resolver404, resolve

from portal.api.routes import router
from portal.bench import api, failover, postgres, push
from portal.bench.cases import CASES, Case, Size
from portal.bench.figures import percentile
from portal.bench.place import DATABASES, places
from portal.bench.rig import MANAGE, RigError
from tests.waiting import wait_for

TINY = Size(10, 20)
API_LINE = {
    "bench", "case", "n", "p50_ms", "p95_ms", "limit_ms", "queries", "queries_small", "rows",
    "shown", "bytes",
}  # fmt: skip


def quiet(_text: str) -> None:
    """Take progress that nobody reads."""


@pytest.mark.parametrize("database", DATABASES)
def test_lists_are_measured_on_both_databases(database: str) -> None:
    names = ["list-vms", "list-vms-narrow", "list-events-late", "overview"]
    lines = {line["case"]: line for line in api.lines(database, names, 2, TINY, quiet)}
    assert list(lines) == [f"{database}/{name}" for name in names]
    assert all(set(line) == API_LINE for line in lines.values())
    whole, narrow = (lines[f"{database}/{name}"] for name in ("list-vms", "list-vms-narrow"))
    assert (whole["rows"], whole["shown"], narrow["shown"]) == (20, 20, 2)
    assert 0 < whole["p50_ms"] <= whole["p95_ms"]
    assert 0 < whole["queries"] == whole["queries_small"]
    assert lines[f"{database}/overview"]["bytes"] > 1000


def test_a_push_is_measured_until_the_last_page_has_heard_of_it() -> None:
    (line,) = push.lines("sqlite", 4, 3, TINY, quiet)
    assert (line["case"], line["n"], line["clients"], line["narrow"]) == ("sqlite/push", 3, 4, 2)
    assert 0 < line["p50_ms"] <= line["p99_ms"] <= line["worst_ms"]


def test_an_answer_that_is_no_success_fails_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    web = httpx.Client(
        base_url="http://portal", transport=httpx.MockTransport(lambda _: httpx.Response(404))
    )
    with pytest.raises(RigError, match="page-gone: /gone/ answered 404"):
        api.measure(web, "page-gone", "/gone/", {}, 3)
    with places("sqlite", 1) as (place,):
        monkeypatch.setitem(CASES, "list-vms", Case("list-vms", "/api/v1/vms/?page=9", "vms"))
        with pytest.raises(RigError, match=r"list-vms: .* answered 404"):
            api.Filled(place, ["list-vms"], TINY)


def test_every_list_of_the_api_has_cases() -> None:
    listed = {prefix for prefix, _, _ in router.registry}
    missing = {prefix for prefix in listed if f"list-{prefix}" not in CASES}
    assert listed
    assert not missing


def test_every_case_asks_for_an_address_that_exists() -> None:
    for case in CASES.values():
        path = case.path.partition("?")[0].format(incident=1, host=1, vm=1, cluster=1)
        try:
            resolve(path)
        except Resolver404:
            pytest.fail(f"{case.name}: {path} leads nowhere")


def test_what_is_slow_or_asks_more_with_more_rows_is_a_fault() -> None:
    line = {"case": "sqlite/list-vms", "p95_ms": 99.0, "limit_ms": 100.0}
    good = line | {"queries": 8, "queries_small": 8}
    assert api.faults(good) == []
    assert api.faults(good | {"p95_ms": 101.0}) == ["sqlite/list-vms: p95 101.0 ms, 100 allowed"]
    assert api.faults(good | {"queries": 58}) == ["sqlite/list-vms: 58 queries, 8 with few rows"]
    pushed = {"case": "sqlite/push", "p99_ms": 500.0, "limit_ms": 500.0}
    assert push.faults(pushed) == []
    assert push.faults(pushed | {"p99_ms": 500.1}) == ["sqlite/push: p99 500.1 ms, 500 allowed"]
    assert failover.faults(failover.summary("power_off", 2, 1, [1.0])) != []


def test_a_percentile_is_one_of_the_times() -> None:
    times = [float(number) for number in range(100, 0, -1)]
    assert [percentile(times, percent) for percent in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([7.0], 50) == 7.0


def test_a_machine_without_postgresql_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    with pytest.raises(RigError, match="apt-get install postgresql"):
        postgres.programs()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="hb-", dir="/tmp") as path:
        yield Path(path)


def start_bench(folder: Path, *args: str) -> "subprocess.Popen[str]":
    """Start the command with a temporary folder that can be looked into."""
    env = {**os.environ, "TMPDIR": str(folder), "HOLDFAST_VAR": str(folder / "own")}
    argv = [sys.executable, MANAGE, "bench", *args, "--json", "--database", "sqlite"]
    pipe: Any = subprocess.PIPE
    return subprocess.Popen(argv, env=env, stdout=pipe, stderr=pipe, text=True)


def test_the_command_prints_only_json_lines(folder: Path) -> None:
    case = ("--case", "list-clusters", "--case", "list-tokens", "-n", "1")
    bench = start_bench(folder, "api", "--hosts", "10", "--vms", "10", *case)
    out, _ = bench.communicate(timeout=120)
    names = [json.loads(line)["case"] for line in out.splitlines()]
    assert names == ["sqlite/list-clusters", "sqlite/list-tokens"]
    assert not list(folder.glob("holdfast-bench-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_bench_leaves_no_process_and_no_folder(
    folder: Path, number: signal.Signals
) -> None:
    wait = ("--clients", "2", "-n", "10000")
    bench = start_bench(folder, "push", "--hosts", "10", "--vms", "10", *wait)
    redis = "holdfast-bench-*/0/run/redis.sock"
    wait_for(lambda: list(folder.glob(redis)) or bench.poll() is not None, 60, "a running bench")
    wait_for(lambda: children(folder), 60, "its processes")
    bench.send_signal(number)
    bench.communicate(timeout=60)
    assert bench.returncode != 0
    assert not list(folder.glob("holdfast-bench-*"))
    assert children(folder) == []


def children(folder: Path) -> list[int]:
    """Return the processes whose portal lives in ``folder``."""
    mark = f"HOLDFAST_VAR={folder}/holdfast-bench-".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended while it was looked at
    return found
