"""Every crash point of a scenario: the engine dies at each step of it in turn."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from portal.sim.scenario import EventSpec, Scenario
from portal.sim.simulation import Outcome, simulate

#: How long a dead engine stays away: longer than a claim of its last step may stand.
AWAY_S = 20.0
#: Time for what a death put off, before everything is repaired and judged.
AFTERWARDS_S = 60.0


@dataclass(frozen=True, slots=True)
class Point:
    """A step at which the engine died, when that was, and what came of it."""

    step: int
    at_ms: int
    outcome: Outcome


def sweep(scenario: Scenario, depth: str) -> Iterator[Point]:
    """Yield what came of each death, from the first event to the last thing that happened.

    A step is what the depth counts: a commit (before and after it) or a hardware call
    (before and after it) in the full depth, an intention of a plan in the pure one.
    """
    first = min(event.at for event in scenario.events)
    end_ms = _last_ms(simulate(scenario, depth))
    step = 0
    while True:
        death = EventSpec(first, "engine.crash", {"after": step, "s": AWAY_S})
        events = tuple(sorted((death, *scenario.events), key=lambda event: event.at))
        longer = replace(scenario, events=events, until=scenario.until + AFTERWARDS_S)
        outcome = simulate(longer, depth, converge=True)
        if not outcome.deaths or outcome.deaths[0] > end_ms:
            return
        yield Point(step, outcome.deaths[0], outcome)
        step += 1


def _last_ms(outcome: Outcome) -> int:
    """Return when the last thing happened that the log tells."""
    return round(float(outcome.log[-1].split()[0]) * 1000) if outcome.log else 0
