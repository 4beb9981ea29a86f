"""What one check says: a state, a sentence, and a cure where something is wrong."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

_NAMED = 5


class CheckState(StrEnum):
    """How it is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: CheckState
    text: str
    cure: str = ""


def ok(name: str, text: str) -> Check:
    """It is as it should be."""
    return Check(name, CheckState.OK, text)


def warn(name: str, text: str, cure: str) -> Check:
    """It works, and somebody should know."""
    return Check(name, CheckState.WARN, text, cure)


def bad(name: str, text: str, cure: str) -> Check:
    """It does not work, or will not when it matters."""
    return Check(name, CheckState.BAD, text, cure)


def some(names: Collection[str]) -> str:
    """Return the first few names, and how many more there are."""
    first = ", ".join(sorted(names)[:_NAMED])
    return f"{first} and {len(names) - _NAMED} more" if len(names) > _NAMED else first
