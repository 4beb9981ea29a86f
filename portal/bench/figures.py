"""What is said of measured times."""

from collections.abc import Sequence


def percentile(times: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile: the least time that ``percent`` % do not exceed."""
    ordered = sorted(times)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def ms(seconds: float) -> float:
    """Return milliseconds, to a tenth."""
    return round(seconds * 1000, 1)
