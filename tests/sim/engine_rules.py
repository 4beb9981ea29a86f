"""What several engines owe each other, switched off, and what finds it missing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from fencing.domain import guards
from portal.lib.ha import owners
from portal.sim.scenario import EventSpec, Scenario
from tests.sim.rules import Rule, always, three, without_guard

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _one_engine_cut_off(seed: int) -> Scenario:
    """One of two engines loses its own network, and keeps database and queue."""
    random = Random(seed)  # noqa: S311 - repeatable luck, no secret
    engine = random.choice(["engine1", "engine2"])
    at = round(20 + random.random() * 20, 1)
    scenario = three(seed, [EventSpec(at, "engine.isolate", {"engine": engine})])
    return replace(scenario, engines=("engine1", "engine2"))


def _the_owner(host: int, members: Sequence[owners.Member], *_: Any) -> str:
    return owners.home(host, members, {}, EPOCH)


def _without_second_opinion(patch: pytest.MonkeyPatch) -> None:
    """The owner alone judges, as if no other engine lived."""
    patch.setattr(owners, "is_silent_to_all", always(True))
    patch.setattr(owners, "next_to_ask", _the_owner)
    without_guard(guards.an_engine_has_not_asked)(patch)


ENGINE_RULES = (
    Rule(
        "a host is silent only when every live engine has asked in vain",
        _without_second_opinion,
        _one_engine_cut_off,
        "I7",
    ),
)
