"""The engines of random schedules: how many, and which of them dies, stops or is cut off."""

from collections.abc import Iterator, Sequence
from random import Random

from portal.sim.scenario import EventSpec

_MANY = [1, 1, 2, 3]


def names(seed: int, count: int) -> tuple[str, ...]:
    """Return so many engines; 0: as many as are drawn."""
    random = Random(f"engines {seed}")  # noqa: S311 - repeatable luck of its own, no secret
    return tuple(f"engine{number}" for number in range(1, (count or random.choice(_MANY)) + 1))


def events(
    seed: int, others: Sequence[EventSpec], engines: Sequence[str], *, crashes: bool
) -> tuple[EventSpec, ...]:
    """Return what befalls engines while the others happen."""
    return (*(_crashes(seed, others) if crashes else ()), *_alone(seed, others, engines))


def _crashes(seed: int, events: Sequence[EventSpec]) -> Iterator[EventSpec]:
    """Crash points at drawn steps within seconds of what happens, and the ends of them."""
    random = Random(f"crashes {seed}")  # noqa: S311 - repeatable luck of its own, no secret
    times = [event.at for event in events]
    for _ in range(random.randint(1, 3)):
        at = random.choice(times) + random.uniform(0, 15)
        yield EventSpec(round(at, 1), "engine.crash", {"after": random.randint(0, 30)})
        yield EventSpec(round(at + random.uniform(0.1, 20), 1), "engine.start")


def _alone(seed: int, events: Sequence[EventSpec], engines: Sequence[str]) -> Iterator[EventSpec]:
    """Where there are several engines, one of them is cut off or stopped in two schedules of three.

    Some stay cut off to the end.
    """
    random = Random(f"alone {seed}")  # noqa: S311 - repeatable luck of its own, no secret
    if len(engines) == 1 or random.random() < 1 / 3:
        return
    engine, near = random.choice(engines), random.choice(events).at
    at = max(1.0, round(near + random.uniform(-15, 5), 1))
    if random.random() < 0.3:
        yield EventSpec(at, "engine.pause", {"s": random.choice([6, 20, 60]), "engine": engine})
        return
    yield EventSpec(at, "engine.isolate", {"engine": engine})
    if random.random() < 0.7:
        after = round(at + random.choice([2, 8, 20, 60]) * random.uniform(0.5, 1.5), 1)
        yield EventSpec(after, "engine.rejoin", {"engine": engine})
