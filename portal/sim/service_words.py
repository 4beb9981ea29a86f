"""Fault words about what the portal itself rests on: its processes, its queue, its database."""

from collections.abc import Mapping

from portal.sim.scene import Scene, Word


def _pause(scene: Scene, s: float, engine: str = "") -> None:
    """SIGSTOP for ``s`` seconds: what it has asked is answered, and it learns of it later."""
    scene.portal.engines.pause(engine, float(s))


def _lose_queue(scene: Scene, s: float) -> None:
    """Redis is gone with all messages, and back, empty, ``s`` seconds later."""
    scene.portal.engines.lose_queue(float(s))


def _lose_database(scene: Scene, s: float) -> None:
    """Every transaction of the portal fails for ``s`` seconds."""
    scene.portal.engines.lose_database(float(s))


def _skew(scene: Scene, s: float, engine: str = "") -> None:
    """Nothing: only the database's clock is asked.

    A simulated world is years away from the clock of the machine that simulates it,
    so whatever asked that clock would differ in every run.
    """


SERVICE_WORDS: Mapping[str, Word] = {
    "engine.pause": Word(_pause, ("s",), ("engine",)),
    "engine.clock_skew": Word(_skew, ("s",), ("engine",)),
    "redis.lose": Word(_lose_queue, ("s",)),
    "db.lose": Word(_lose_database, ("s",)),
}
