"""The pure depth mirrors the services: without luck, random schedules log the same in both."""

from random import SystemRandom

import pytest

from portal.sim.schedules import WEIGHTS, schedule
from portal.sim.shrink import as_yaml
from portal.sim.simulation import simulate

#: Where an engine dies is counted differently in the two depths.
COMPARABLE = {word: weight for word, weight in WEIGHTS.items() if word != "engine.crash"}


@pytest.mark.usefixtures("private_database")
@pytest.mark.parametrize("number", range(3))
def test_a_random_schedule_has_the_same_log_in_both_depths(number: int) -> None:
    seed = SystemRandom().randrange(10**9)
    scenario = schedule(seed, hosts=3, vms=2, weights=COMPARABLE)
    pure, full = simulate(scenario, "pure"), simulate(scenario, "full")
    assert list(pure.log) == list(full.log), f"seed {seed}:\n{as_yaml(scenario)}"
