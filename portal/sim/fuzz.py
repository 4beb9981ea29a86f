"""Many random schedules, one after the other; the first that breaks an invariant, shrunk."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from portal.sim.scenario import Scenario
from portal.sim.schedules import schedule
from portal.sim.shrink import shrink
from portal.sim.simulation import Outcome, simulate


@dataclass(frozen=True, slots=True)
class Found:
    """A broken invariant, and the smallest schedule that still breaks one."""

    seed: int
    scenario: Scenario
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Tally:
    """What a whole series came to."""

    schedules: int
    human_splits: int
    found: Found | None = None


def fuzz(
    seeds: Iterable[int],
    depth: str,
    make: Callable[[int], Scenario] = schedule,
    *,
    shrinking: bool = True,
) -> Tally:
    """Run the schedule of each seed; stop at the first broken invariant."""
    count = human = 0
    for seed in seeds:
        scenario = make(seed)
        outcome = simulate(scenario, depth, seed, converge=True)
        count += 1
        human += outcome.human_splits
        if outcome.violations:
            return Tally(count, human, _found(seed, scenario, outcome, depth, shrinking))
    return Tally(count, human)


def _found(seed: int, scenario: Scenario, outcome: Outcome, depth: str, shrinking: bool) -> Found:
    if not shrinking:
        return Found(seed, scenario, outcome)
    kind = _kind(outcome)

    def fails(candidate: Scenario) -> bool:
        return _kind(simulate(candidate, depth, seed, converge=True)) == kind

    small = shrink(scenario, fails)
    return Found(seed, small, simulate(small, depth, seed, converge=True))


def _kind(outcome: Outcome) -> str:
    """Return which invariant was broken first, so that shrinking keeps to it."""
    return outcome.violations[0].split(": ")[1] if outcome.violations else ""
