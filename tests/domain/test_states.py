"""Both state tables are whole, and their rules hold in every cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.domain import states as hosts
from hosts.domain.states import HostEvent, HostStatus
from portal.lib.ha import states as ha
from portal.lib.ha.states import HaEvent, HaState

H, A = HostStatus, HaState


def test_every_pair_of_status_and_event_is_defined() -> None:
    assert set(hosts.TRANSITIONS) == set(HostStatus)
    for row in hosts.TRANSITIONS.values():
        assert set(row) == set(HostEvent)


def test_every_pair_of_ha_state_and_event_is_defined() -> None:
    assert set(ha.TRANSITIONS) == set(HaState)
    for row in ha.TRANSITIONS.values():
        assert set(row) == set(HaEvent)


def test_only_a_proof_makes_a_host_down() -> None:
    for status, row in hosts.TRANSITIONS.items():
        for event, new in row.items():
            if new is H.DOWN and status is not H.DOWN:
                assert event is HostEvent.PROVEN_OFF


def test_only_a_proof_makes_a_resource_fenced() -> None:
    for state, row in ha.TRANSITIONS.items():
        for event, new in row.items():
            if new is A.FENCED and state is not A.FENCED:
                assert event is HaEvent.PROVEN_OFF


def test_being_healthy_is_too_late_once_the_power_command_may_be_on_its_way() -> None:
    assert ha.next_state(A.FENCING, HaEvent.HEALTHY) is A.FENCING
    leaves = {event for event, new in ha.TRANSITIONS[A.FENCING].items() if new is not A.FENCING}
    assert leaves == {HaEvent.PROVEN_OFF, HaEvent.RELEASED, HaEvent.DISABLED}


@pytest.mark.parametrize("status", [H.MAINTENANCE, H.PENDING, H.DOWN, H.REBOOTING])
def test_expected_silence_is_no_emergency(status: HostStatus) -> None:
    assert hosts.next_status(status, HostEvent.MISSED) is status
    assert hosts.next_status(status, HostEvent.SILENT) is status


def test_a_host_in_maintenance_that_answers_stays_in_maintenance() -> None:
    assert hosts.next_status(H.MAINTENANCE, HostEvent.SEEN_UNWANTED) is H.MAINTENANCE


@given(st.lists(st.sampled_from(HostEvent)))
def test_one_good_look_ends_any_story_of_silence(events: list[HostEvent]) -> None:
    status = HostStatus.PENDING
    for event in events:
        status = hosts.next_status(status, event)
    assert hosts.next_status(status, HostEvent.SEEN_FIT) is H.UP or status is H.PREPARING


@given(st.lists(st.sampled_from(HaEvent)))
def test_a_disabled_resource_is_never_fenced(events: list[HaEvent]) -> None:
    state = HaState.DISABLED
    for event in events:
        if event is not HaEvent.ENABLED:
            state = ha.next_state(state, event)
    assert state is HaState.DISABLED
