"""manage.py simulate: play a scenario, or many random ones, against the shipping code."""

import json
from argparse import ArgumentParser
from pathlib import Path
from random import SystemRandom
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.cli.arguments import whole
from portal.sim.fuzz import Found, fuzz
from portal.sim.report import report, unmet
from portal.sim.scenario import BadScenario, Scenario, load
from portal.sim.schedules import schedule
from portal.sim.shrink import as_yaml
from portal.sim.simulation import simulate
from portal.sim.sweep import sweep


def _load(folder: Path) -> Scenario:
    """Return the scenario of a folder, or say in one sentence why there is none."""
    if not (folder / "scenario.yaml").is_file():
        raise CommandError(
            f"{folder} holds no scenario.yaml: name a folder such as "
            "tests/scenarios/one_host_panics"
        )
    try:
        return load(folder)
    except BadScenario as error:
        raise CommandError(" ".join(str(error).split())) from None
    except (AttributeError, TypeError, ValueError) as error:
        raise CommandError(f"{folder}/scenario.yaml cannot be understood: {error}") from None


class Command(BaseCommand):
    """Print a scenario's log, its report, or the first random schedule that breaks an invariant."""

    help = "Simulate a scenario folder, or random fault schedules (--random)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("folder", nargs="?", type=Path, help="a scenario folder")
        parser.add_argument(
            "--sweep", action="store_true", help="let the engine die at each step of the scenario"
        )
        parser.add_argument("--json", action="store_true", help="print the report, not the log")
        parser.add_argument("--depth", choices=("pure", "full"), default="full")
        parser.add_argument("--random", action="store_true", help="random fault schedules")
        parser.add_argument(
            "--seed", type=whole(0), help="the first schedule's number (default: drawn)"
        )
        parser.add_argument("--count", type=whole(1), default=100, help="how many schedules")
        parser.add_argument(
            "--hosts", type=whole(2, 64), default=0, help="hosts of each (default: drawn)"
        )
        parser.add_argument(
            "--vms", type=whole(1, 500), default=0, help="VMs of each (default: drawn)"
        )
        parser.add_argument(
            "--engines", type=whole(1, 3), default=0, help="engines of each (default: drawn)"
        )
        parser.add_argument(
            "--crashes", action="store_true", help="one to three engines die in each schedule"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run; exit status 1 means a broken invariant or an unmet expectation."""
        if options["random"] and options["folder"] is not None:
            raise CommandError("name a scenario folder, or use --random: not both")
        if options["random"] and options["sweep"]:
            raise CommandError("--sweep needs a scenario folder; with --random use --crashes")
        if options["random"]:
            self._random(options)
        elif options["folder"] is None:
            raise CommandError("name a scenario folder, or use --random")
        elif options["sweep"]:
            self._sweep(_load(options["folder"]), options["depth"])
        else:
            self._scenario(options)

    def _scenario(self, options: dict[str, Any]) -> None:
        outcome = simulate(_load(options["folder"]), options["depth"])
        if options["json"]:
            self.stdout.write(json.dumps(report(outcome), indent=2))
        else:
            self.stdout.write("\n".join(outcome.log))
        wrong = [*outcome.violations, *unmet(outcome)]
        if wrong:
            raise SystemExit("\n".join(["", *wrong]))

    def _sweep(self, scenario: Scenario, depth: str) -> None:
        points = 0
        for point in sweep(scenario, depth):
            points += 1
            if point.outcome.violations:
                told = "\n".join([*point.outcome.log, *point.outcome.violations])
                raise SystemExit(f"{scenario.name}: dead at step {point.step}:\n{told}")
        self.stdout.write(f"{scenario.name} ({depth}): {points} crash points, no invariant broken")

    def _random(self, options: dict[str, Any]) -> None:
        seed = options["seed"]
        if seed is None:
            seed = SystemRandom().randrange(10**9)
        tally = fuzz(
            range(seed, seed + options["count"]),
            options["depth"],
            lambda number: schedule(
                number,
                hosts=options["hosts"],
                vms=options["vms"],
                engines=options["engines"],
                crashes=options["crashes"],
            ),
        )
        if tally.found is not None:
            self._show(tally.found)
            raise SystemExit(1)
        self.stdout.write(
            f"{tally.schedules} schedules from seed {seed} ({options['depth']}): no invariant "
            f"broken; {tally.human_splits} splits by human error"
        )

    def _show(self, found: Found) -> None:
        self.stdout.write(f"# seed {found.seed}, shrunk:\n{as_yaml(found.scenario)}")
        self.stdout.write("\n".join(found.outcome.log))
        self.stdout.write("\n".join(["", *found.outcome.violations]))
