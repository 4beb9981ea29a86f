"""Random fault schedules break no invariant; each run draws new ones and says which."""

from random import SystemRandom

import pytest

from portal.sim.fuzz import Tally, fuzz
from portal.sim.scenario import Scenario
from portal.sim.schedules import schedule
from portal.sim.shrink import as_yaml

PURE, FULL = 100, 5
CHUNKS = 5


def _small(seed: int) -> Scenario:
    return schedule(seed, hosts=3, vms=2)


def _told(tally: Tally, depth: str) -> str:
    if tally.found is None:
        return ""
    found = tally.found
    log = "\n".join([*found.outcome.log, *found.outcome.violations])
    return f"{depth} seed {found.seed}, shrunk:\n{as_yaml(found.scenario)}{log}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_pure_schedule_breaks_an_invariant(chunk: int) -> None:
    seed = SystemRandom().randrange(10**9)
    print(f"pure schedules from seed {seed}")  # noqa: T201 - repeats a failure
    tally = fuzz(range(seed, seed + PURE // CHUNKS), "pure")
    assert tally.found is None, _told(tally, "pure")
    assert tally.schedules == PURE // CHUNKS


@pytest.mark.usefixtures("private_database")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_full_schedule_breaks_an_invariant(chunk: int) -> None:
    seed = SystemRandom().randrange(10**9)
    print(f"full schedules from seed {seed}")  # noqa: T201 - repeats a failure
    tally = fuzz(range(seed, seed + FULL // CHUNKS), "full", _small)
    assert tally.found is None, _told(tally, "full")
    assert tally.schedules == FULL // CHUNKS


def test_the_same_seed_gives_the_same_schedule_and_the_same_log() -> None:
    assert schedule(7) == schedule(7)
    first, second = (fuzz([11], "pure", shrinking=False) for _ in range(2))
    assert first == second


def test_schedules_differ_from_seed_to_seed() -> None:
    assert len({as_yaml(schedule(seed)) for seed in range(50)}) == 50
