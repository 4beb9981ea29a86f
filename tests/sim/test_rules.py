"""Switch one safety rule off, and the simulator finds what it prevents; with it on, nothing."""

import pytest

from portal.sim.fuzz import fuzz
from tests.sim.engine_rules import ENGINE_RULES
from tests.sim.leases import LEASE_RULES
from tests.sim.rows import ROWS
from tests.sim.rules import RULES, Rule, switched_off

LIMIT = 1000
ALL = [*RULES, *ROWS, *LEASE_RULES, *ENGINE_RULES]


@pytest.mark.parametrize(
    "rule", [*RULES, *ROWS, *LEASE_RULES, *ENGINE_RULES], ids=lambda rule: rule.name
)
def test_without_this_rule_a_schedule_breaks_an_invariant_and_with_it_none(rule: Rule) -> None:
    with switched_off(rule):
        without = fuzz(range(LIMIT), "pure", rule.make, shrinking=False)
    assert without.found is not None, f"{without.schedules} schedules, and nobody missed the rule"
    first = without.found.outcome.violations[0]
    assert f": {rule.breaks}: " in first, first
    on = fuzz(range(without.schedules), "pure", rule.make, shrinking=False)
    assert on.found is None, on.found and on.found.outcome.violations
