"""What a provider hands over, the thresholds, and the document made from the table."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from portal.lib.ha import thresholds
from portal.lib.ha.diagram import document
from portal.lib.ha.evidence import Answer, Evidence, taken, unknown
from portal.lib.ha.states import TRANSITIONS, HaEvent, HaState
from portal.lib.ha.thresholds import ThresholdError, Thresholds
from tests.ha.records import NOW, said

EARLIER = NOW - timedelta(seconds=1)


def test_evidence_is_taken_as_it_is() -> None:
    assert taken(said(Answer.NO), source="x", asked_at=NOW) == said(Answer.NO)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (True, "returned bool"),
        (None, "returned NoneType"),
        (Evidence("yes", "x", "y", NOW), "none of yes, no and unknown"),  # type: ignore[arg-type]  # nonsense is the point
        (Evidence(Answer.YES, 1, "y", NOW), "no text"),  # type: ignore[arg-type]  # as above
        (Evidence(Answer.YES, "x", None, NOW), "no text"),  # type: ignore[arg-type]  # as above
        (Evidence(Answer.YES, "x", "y", EARLIER), "another question"),
        (Evidence(Answer.NO, "x", "y", NOW + timedelta(seconds=1)), "another question"),
    ],
)
def test_nonsense_is_unknown_and_says_what_is_wrong(given: object, words: str) -> None:
    found = taken(given, source="theirs", asked_at=NOW)
    assert found.answer is Answer.UNKNOWN
    assert (found.source, found.asked_at) == ("theirs", NOW)
    assert words in found.text
    assert unknown("theirs", found.text, NOW) == found


def test_the_document_is_the_table() -> None:
    there = (Path(settings.BASE_DIR) / "docs" / "ha-states.md").read_text()
    assert there == document(), "run: manage.py ha-diagram"
    for state in HaState:
        for event in HaEvent:
            new = TRANSITIONS[state][event]
            arrows = [line for line in there.splitlines() if line.startswith(f"    {state} -->")]
            drawn = [line for line in arrows if event in line.partition(" : ")[2].split(", ")]
            assert drawn == (
                [] if new is state else [line for line in drawn if f"> {new} :" in line]
            )
            assert bool(drawn) == (new is not state)


def test_the_command_writes_the_document(settings: object, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    settings.BASE_DIR = tmp_path  # type: ignore[attr-defined]  # pytest-django's settings are untyped
    call_command("ha-diagram")
    assert (tmp_path / "docs" / "ha-states.md").read_text() == document()


def test_layers_override_one_another() -> None:
    found = thresholds.layered(
        {"health_interval": 1, "activity_samples": 3}, {"activity_samples": 5}
    )
    assert (found.health_interval, found.activity_samples) == (1, 5)
    assert found.fence_timeout == Thresholds().fence_timeout


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("patience", 1, "no such threshold; known are health_interval"),
        ("health_interval", 0.4, "must be between 0.5 and 3600 s"),
        ("health_interval", 3601, "must be between"),
        ("activity_ratio", 1.1, "must be between 0 and 1 share"),
        ("activity_samples", 2.5, "whole number"),
        ("activity_samples", True, "must be a number"),
        ("activity_samples", "3", "must be a number"),
        ("fence_timeout", float("nan"), "must be between"),
    ],
)
def test_a_threshold_out_of_range_is_refused_by_name(name: str, value: object, words: str) -> None:
    with pytest.raises(ThresholdError, match=words) as refusal:
        thresholds.validate({name: value})
    assert refusal.value.name == name
    assert str(refusal.value).startswith(f"{name}: ")


def test_the_ends_of_a_range_and_whole_floats_are_taken() -> None:
    for row in thresholds.describe():
        for value in (row["low"], row["high"], row["default"]):
            assert thresholds.validate({row["name"]: value}) == {row["name"]: value}
    assert thresholds.validate({"activity_samples": 3.0}) == {"activity_samples": 3.0}
    assert thresholds.validate({"activity_ratio": 0.25}) == {"activity_ratio": 0.25}
