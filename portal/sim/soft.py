"""Soft recovery in random schedules: drawn by a luck of its own, so that the rest stays."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from fencing.domain.recovery import RecoveryOutcome
from portal.sim.scenario import EventSpec

_UNTIL_S = 80.0


def is_soft(seed: int) -> bool:
    """Whether the cluster of this schedule restarts libvirtd over SSH: one of three does."""
    return _luck(seed, "policy").random() < 1 / 3


def policy(seed: int) -> dict[str, Any]:
    """Return the setting, where it is on."""
    return {"soft_recovery": "on"} if is_soft(seed) else {}


def events(seed: int, hosts: Sequence[str]) -> Iterator[EventSpec]:
    """Draw daemons that hang, at times without a sound, and doors that do not open."""
    if not is_soft(seed):
        return
    random = _luck(seed, "events")
    for _ in range(random.randint(1, 2)):
        host, at = random.choice(hosts), round(random.uniform(5, _UNTIL_S), 1)
        if random.random() < 0.5:
            outcome = random.choice(list(RecoveryOutcome))
            yield EventSpec(round(at - 2, 1), "ssh.fail", {"host": host, "outcome": str(outcome)})
            if random.random() < 0.5:
                later = round(at + random.uniform(5, 40), 1)
                yield EventSpec(later, "ssh.repair", {"host": host})
        yield EventSpec(at, "host.hang", {"host": host, "mute": random.random() < 0.7})
        if random.random() < 0.5:
            later = round(at + random.uniform(3, 60), 1)
            yield EventSpec(later, "host.thaw", {"host": host})


def _luck(seed: int, what: str) -> Random:
    return Random(f"soft {what} {seed}")  # noqa: S311 - repeatable luck, no secret
