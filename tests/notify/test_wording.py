"""What a notification says."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencing.domain.alerts import CURE, AlertKind
from portal.notify.domain import wording
from tests.notify.test_telling import happening

BASE = "https://holdfast.example"


@pytest.mark.parametrize("kind", list(AlertKind))
def test_every_alert_says_what_holdfast_did_and_what_the_person_must_do(kind: AlertKind) -> None:
    event = happening(f"alert.{kind}")
    assert wording.done_about(event) != wording.done_about(happening("any.other"))
    assert wording.to_do_about(event) == CURE[kind]


def test_a_resource_that_needs_a_person_says_what_to_do() -> None:
    event = happening("resource.needs_person")
    assert "goes on asking" in wording.done_about(event)
    assert "declare it degraded" in wording.to_do_about(event)


def test_one_event_is_told_whole_in_the_subject() -> None:
    asks = replace(happening("alert.confirm_reboot"), text="alert, confirm reboot: node1 is silent")
    assert wording.subject([asks]) == "[Holdfast] needs you: confirm reboot: node1 is silent"
    assert wording.subject([happening("fence.failed")]) == "[Holdfast] node1: fence.failed"


def test_several_events_are_counted_with_the_names_that_need_somebody() -> None:
    events = [
        happening("host.proven_off", host=1, host_name="node1"),
        happening("alert.no_room", vm=2, vm_name="db1"),
        happening("alert.no_room", vm=3, vm_name="web4"),
    ]
    assert wording.subject(events) == "[Holdfast] 3 events, 2 need you: db1, web4"
    assert wording.subject(events[:1] * 2) == "[Holdfast] 2 events: node1"


def test_a_mail_begins_with_what_needs_a_person_and_links_to_the_incident() -> None:
    first = happening("host.proven_off", incident=4)
    second = replace(happening("alert.confirm_reboot"), pk=2)
    text = wording.mail_text([first, second], BASE)
    assert text.index("alert.confirm_reboot") < text.index("host.proven_off")
    assert f"{BASE}/incidents/4/\n" in text
    assert "What you must do: Go and look at the machine" in text
    assert "What you must do: Nothing." in text


@given(st.text(max_size=400))
def test_no_text_of_an_event_makes_a_second_line_of_a_subject(text: str) -> None:
    said = wording.subject([replace(happening("any"), text=text)])
    assert said.isprintable()
    assert len(said) <= wording.SUBJECT_CHARS


def test_a_test_is_a_payload_without_events() -> None:
    told = wording.payload("id-1", [], BASE)
    assert (told["type"], told["events"], told["id"]) == ("test", [], "id-1")
