"""manage.py bench failover: measure on a box of its own; prints JSON lines."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fencing.domain.policy import Policy
from portal.bench.failover import CASES, lines
from portal.bench.rig import RigError, running
from portal.cli.arguments import whole


class Command(BaseCommand):
    """Start a box, inject faults, and print how long VMs were gone."""

    help = "Measure failovers on a data centre in a box of its own."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Which bench, how often, which cases."""
        parser.add_argument("bench", choices=["failover"])
        parser.add_argument("--json", action="store_true", help="only JSON lines on stdout")
        parser.add_argument(
            "-n", type=whole(1, 10_000), default=20, help="failovers per case (default 20)"
        )
        parser.add_argument("--case", action="append", choices=sorted(CASES), help="only this one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run; progress goes to stderr, figures to stdout; a failed failover is exit 1."""
        say = self.stderr.write
        say(f"policy: {json.dumps(asdict(Policy()))}")
        failed = 0
        try:
            with running() as rig:
                for line in lines(rig, options["case"] or list(CASES), options["n"], say):
                    failed += line["failed"]
                    self.stdout.write(json.dumps(line))
        except RigError as error:
            raise CommandError(str(error)) from None
        if failed:
            raise CommandError(f"{failed} failovers failed")
