"""How patient HA is with a resource: name, unit, default, range, meaning.

Names and defaults are near those of Apache CloudStack's ``kvm.ha.*``.  Layers:
everything < cluster < resource; rows hold validated overrides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


class ThresholdError(ValueError):
    """An override that is not acceptable; the text names the field and the cure."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


def _number(default: float, low: float, high: float, unit: str, text: str) -> Any:
    meta = {"low": low, "high": high, "unit": unit, "help": text}
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds in force for one resource; seconds unless named otherwise."""

    health_interval: float = _number(4, 0.5, 3600, "s", "Time between two health checks.")
    health_timeout: float = _number(10, 0.1, 300, "s", "A health check's deadline.")
    health_failures: int = _number(
        1, 1, 100, "checks", "Health checks in a row without a good answer that make a suspect."
    )
    activity_interval: float = _number(60, 0.5, 3600, "s", "Time between two activity checks.")
    activity_timeout: float = _number(60, 0.1, 300, "s", "An activity check's deadline.")
    activity_samples: int = _number(10, 1, 1000, "rounds", "Rounds until a decision.")
    activity_ratio: float = _number(
        0.7, 0, 1, "share", "More idle rounds than this share: it is dead.  1: never."
    )
    degraded_max: float = _number(300, 1, 86400, "s", "How long a degraded one is left alone.")
    recover_timeout: float = _number(60, 0.1, 600, "s", "A recovery's deadline.")
    recover_attempts: int = _number(
        1, 0, 100, "times", "Recoveries until it is healthy; after those it is fenced."
    )
    recover_wait: float = _number(600, 1, 86400, "s", "What a recovered one may take to serve.")
    fence_timeout: float = _number(60, 0.1, 600, "s", "A fence's deadline.")
    fence_retry_first: float = _number(5, 0.5, 600, "s", "First pause after a failed fence.")
    fence_retry_max: float = _number(300, 1, 3600, "s", "Longest pause between two fences.")


FIELDS = {setting.name: setting for setting in fields(Thresholds)}


def _is_whole(name: str) -> bool:
    return FIELDS[name].metadata["unit"] not in ("s", "share")


def _checked(name: str, value: object) -> float:
    if name not in FIELDS:
        raise ThresholdError(name, f"no such threshold; known are {', '.join(FIELDS)}")
    meta = FIELDS[name].metadata
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ThresholdError(name, f"must be a number ({meta['unit']})")
    if not meta["low"] <= value <= meta["high"]:
        raise ThresholdError(
            name, f"must be between {meta['low']:g} and {meta['high']:g} {meta['unit']}"
        )
    if _is_whole(name) and value != int(value):
        raise ThresholdError(name, "must be a whole number")
    return value


def validate(overrides: Mapping[str, object]) -> dict[str, float]:
    """Return ``overrides`` checked; raise :class:`ThresholdError` naming the first bad field."""
    return {name: _checked(name, value) for name, value in overrides.items()}


def layered(*layers: Mapping[str, object]) -> Thresholds:
    """Return the thresholds in force: defaults, overridden by each layer in turn."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(validate(layer))
    return Thresholds(**merged)


def describe() -> list[dict[str, Any]]:
    """Return every threshold with all that an editor has to know."""
    return [
        {
            "name": setting.name,
            "unit": setting.metadata["unit"],
            "default": setting.default,
            "low": setting.metadata["low"],
            "high": setting.metadata["high"],
            "help": setting.metadata["help"],
        }
        for setting in FIELDS.values()
    ]
