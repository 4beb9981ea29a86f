"""Which slots a start needs while a lease moves, and how long the old one may be held."""

import pytest

from vms.domain.leases import Leases, may_be_held, needed
from vms.domain.states import ProofKind


@pytest.mark.parametrize(
    ("by", "asked"),
    [
        (ProofKind.OBSERVED_OFF, {2}),
        (ProofKind.LEASE, {2}),
        (ProofKind.POWER_OFF, {1, 2}),
        (ProofKind.MANUAL, {1, 2}),
        (ProofKind.KDUMP, {1, 2}),
    ],
)
def test_while_a_lease_moves_a_start_needs_both_slots_where_the_old_one_may_be_held(
    by: ProofKind, asked: set[int]
) -> None:
    moving = Leases(frozenset({2}), left=frozenset({1}), left_by=by, leaving=frozenset({1}))
    assert needed(moving) == asked
    assert may_be_held(moving, 1) is (asked == {1, 2})
    assert not may_be_held(moving, 2)


def test_a_slot_may_be_held_as_long_as_the_open_run_carries_it() -> None:
    assert may_be_held(Leases(carried=frozenset({1})), 1)
    assert not may_be_held(Leases(frozenset({1})), 1)
