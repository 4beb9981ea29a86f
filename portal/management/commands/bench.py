"""manage.py bench failover|api|push|planner: measure on a portal of its own; prints JSON lines."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fencing.domain.policy import Policy
from portal.bench import api, failover, planner, push
from portal.bench.cases import CASES, Size
from portal.bench.place import DATABASES
from portal.bench.rig import RigError, running
from portal.cli.arguments import whole


class Command(BaseCommand):
    """Measure failovers, lists, or pushes, and print one line per case."""

    help = "Measure failovers, lists with many rows, pushes to open pages, or plans."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Which bench, how often, which cases."""
        benches = parser.add_subparsers(dest="bench", required=True)
        one = benches.add_parser(
            "failover", help="on a data centre in a box: how long VMs are gone"
        )
        _common(one, 20, "failovers per case", sorted(failover.CASES))
        one = benches.add_parser("api", help="API lists and pages with many rows")
        _common(one, 50, "requests per case", sorted(CASES))
        _sizes(one)
        one = benches.add_parser("push", help="from a commit to the last of many open pages")
        _common(one, 100, "commits", [])
        _sizes(one)
        one.add_argument("--clients", type=whole(2, 2000), default=200, help="pages (200)")

        one = benches.add_parser(
            "planner",
            help="one plan when a host has died, from rows in memory: building the facts counts, "
            "SQL does not; beside it Pacemaker's crm_simulate, where it is installed",
        )
        _common(one, 5, "plans per case", list(planner.CASES))

    def handle(self, *args: Any, **options: Any) -> None:
        """Run; progress goes to stderr, figures to stdout; a fault is exit 1."""
        found: list[str] = []
        try:
            with _orderly_end():
                for line in getattr(self, f"_{options['bench']}")(options):
                    self.stdout.write(json.dumps(line))
                    self.stdout.flush()
                    found += _faults(line)
        except RigError as error:
            raise CommandError(str(error)) from None
        if found:
            raise CommandError("\n".join(found))

    def _failover(self, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.stderr.write(f"policy: {json.dumps(asdict(Policy()))}")
        names = options["case"] or list(failover.CASES)
        with running() as rig:
            yield from failover.lines(rig, names, options["n"], self.stderr.write)

    def _api(self, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
        names, size = options["case"] or list(CASES), Size(options["hosts"], options["vms"])
        for database in options["database"] or DATABASES:
            yield from api.lines(database, names, options["n"], size, self.stderr.write)

    def _planner(self, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from planner.lines(options["case"] or planner.CASES, options["n"], self.stderr.write)

    def _push(self, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
        clients, size = options["clients"], Size(options["hosts"], options["vms"])
        for database in options["database"] or DATABASES:
            yield from push.lines(database, clients, options["n"], size, self.stderr.write)


def _common(parser: CommandParser, usual: int, of_what: str, cases: list[str]) -> None:
    parser.add_argument("--json", action="store_true", help="only JSON lines on stdout")
    parser.add_argument("-n", type=whole(1, 10_000), default=usual, help=f"{of_what} ({usual})")
    if cases:
        parser.add_argument("--case", action="append", choices=cases, help="only this one")


def _sizes(parser: CommandParser) -> None:
    parser.add_argument("--hosts", type=whole(1, 10_000), default=1000, help="hosts (1000)")
    parser.add_argument("--vms", type=whole(1, 100_000), default=10_000, help="VMs (10000)")
    parser.add_argument("--database", action="append", choices=DATABASES, help="only this one")


def _faults(line: dict[str, Any]) -> list[str]:
    benches = {"failover": failover, "api": api, "push": push, "planner": planner}
    return list(benches[line["bench"]].faults(line))


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Turn SIGTERM into an exit that stops what was started, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
