"""Each rule of a proof, alone: it holds, and one wrong detail breaks it."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.domain.looks import GuestReason, GuestState
from tests.domain.facts import NOW, UUID, ago, ended, guest, run
from vms.domain import proofs
from vms.domain.states import EndReason, RunState

PROVING = {
    GuestReason.SHUTDOWN: EndReason.GUEST_SHUTDOWN,
    GuestReason.DESTROYED: EndReason.DESTROYED,
    GuestReason.CRASHED: EndReason.CRASHED,
    GuestReason.FAILED: EndReason.CRASHED,
}


@pytest.mark.parametrize("reason", list(GuestReason))
def test_only_endings_that_libvirt_saw_itself_prove_an_end(reason: GuestReason) -> None:
    copy = ended(reason)
    assert proofs.is_observed_off(copy, run(), NOW) is (reason in PROVING)
    assert proofs.end_reason(copy) is PROVING.get(reason, EndReason.NONE)


@pytest.mark.parametrize("state", [item for item in GuestState if item is not GuestState.SHUT_OFF])
def test_a_copy_whose_process_may_live_is_not_off(state: GuestState) -> None:
    copy = guest(state=state, reason=GuestReason.CRASHED)
    assert not proofs.is_observed_off(copy, run(), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"started_at": NOW},
        {"started_at": NOW + timedelta(seconds=1)},
        {"outstanding": True},
        {"state": RunState.STARTING},
        {"generation": 4},
    ],
)
def test_one_wrong_detail_of_the_run_and_off_proves_nothing(changes: dict[str, Any]) -> None:
    assert not proofs.is_observed_off(ended(GuestReason.CRASHED), run(**changes), NOW)


def test_a_domain_without_a_stamp_is_taken_for_the_runs_own() -> None:
    assert proofs.copy_is_of_this_run(guest(stamp=None), run())


HOST = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


@pytest.mark.parametrize(
    "raw", [HOST.bytes, HOST.bytes_le, HOST.bytes[::-1], uuid.UUID(bytes=HOST.bytes[::-1]).bytes_le]
)
def test_a_guid_is_recognised_in_every_byte_order(raw: bytes) -> None:
    assert proofs.identity_is_proven(str(uuid.UUID(bytes=raw)), str(HOST))


@pytest.mark.parametrize("guid", [None, "", UUID])
def test_no_guid_or_another_machines_proves_no_identity(guid: str | None) -> None:
    assert not proofs.identity_is_proven(guid, str(HOST))
    assert not proofs.identity_is_proven(str(HOST), "")


@given(st.uuids(), st.uuids())
def test_two_machines_are_never_taken_for_one(one: uuid.UUID, other: uuid.UUID) -> None:
    orders = {one.bytes, one.bytes_le, one.bytes[::-1], uuid.UUID(bytes=one.bytes[::-1]).bytes_le}
    same = bool(
        orders
        & {other.bytes, other.bytes_le, other.bytes[::-1],
           uuid.UUID(bytes=other.bytes[::-1]).bytes_le}
    )  # fmt: skip
    assert proofs.identity_is_proven(str(one), str(other)) is same


def test_whoever_spoke_since_the_first_off_was_not_off() -> None:
    assert proofs.is_silent_since(None, NOW)
    assert proofs.is_silent_since(ago(1), NOW)
    assert not proofs.is_silent_since(NOW, NOW)
    assert not proofs.is_silent_since(NOW, ago(1))


def test_a_proof_ends_only_runs_that_were_open_when_it_was_asked_for() -> None:
    assert proofs.run_began_before(ago(1), NOW)
    assert not proofs.run_began_before(NOW, ago(1))


def test_two_readings_in_one_instant_are_one_reading() -> None:
    assert proofs.off_reads_are_apart(ago(2), NOW, 2, 2)
    assert not proofs.off_reads_are_apart(ago(1.9), NOW, 2, 2)
    assert not proofs.off_reads_are_apart(ago(2), None, 2, 2)
    assert not proofs.off_reads_are_apart(ago(2), NOW, 3, 2)


def test_every_possible_holder_is_named() -> None:
    assert run(migrating_to=2, contender=3).holders == {1, 2, 3}
    assert run().holders == {1}
