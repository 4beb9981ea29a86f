"""Typed answers: YES, NO or UNKNOWN, each with its source, a sentence and its time.

A bare bool cannot say "nobody knows", and that is the answer that matters most:
UNKNOWN is never dead and never alive.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Answer(StrEnum):
    """What a question about a resource was answered with."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One answer; ``asked_at`` is when the question was *sent*, by the portal's clock."""

    answer: Answer
    source: str
    text: str
    asked_at: datetime


def unknown(source: str, text: str, asked_at: datetime) -> Evidence:
    """Return the evidence of somebody who has none."""
    return Evidence(Answer.UNKNOWN, source, text, asked_at)


def taken(given: object, *, source: str, asked_at: datetime) -> Evidence:
    """Return what a provider answered, or UNKNOWN with what is wrong with it.

    A provider is somebody else's code: a bool, an answer to an earlier question or
    one from the future is no evidence.
    """
    wrong = _wrong_with(given, asked_at)
    if wrong or not isinstance(given, Evidence):
        return unknown(source, wrong, asked_at)
    return given


def _wrong_with(given: object, asked_at: datetime) -> str:
    """Return why ``given`` is no answer to a question sent at ``asked_at``, or the empty text."""
    if not isinstance(given, Evidence):
        return f"it returned {type(given).__name__} instead of evidence"
    if not isinstance(given.answer, Answer):
        return "its answer is none of yes, no and unknown"
    if not (isinstance(given.source, str) and isinstance(given.text, str)):
        return "its source or its text is no text"
    if given.asked_at != asked_at:
        return "it answered another question: the time at which it was asked does not fit"
    return ""
