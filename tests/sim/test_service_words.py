"""What the portal itself rests on, taken away: in both depths nothing is done twice or early."""

import pytest

from portal.sim.scenario import BadScenario, parse
from portal.sim.simulation import Outcome, simulate

HOSTS = [{"name": "node1"}, {"name": "node2"}, {"name": "node3"}]

pytestmark = pytest.mark.usefixtures("private_database")


def _play(*events: dict[str, object], **more: object) -> Outcome:
    raw = {
        "hosts": HOSTS,
        "vms": [{"name": "vm1", "host": "node1"}],
        "events": list(events),
        "until": 150,
        **more,
    }
    scenario = parse("x", raw)
    pure, full = simulate(scenario, "pure"), simulate(scenario, "full")
    assert list(pure.log) == list(full.log)
    assert pure.violations == full.violations == ()
    return full


def _at(outcome: Outcome, text: str) -> float:
    """When something happened first."""
    return float(next(line for line in outcome.log if text in line).split()[0])


DIES = {"at": 30, "do": "host.power_off", "host": "node1"}


@pytest.mark.parametrize(
    "loss",
    [
        {"do": "db.lose", "s": 40},
        {"do": "redis.lose", "s": 40},
        {"do": "engine.pause", "s": 40},
    ],
    ids=lambda loss: str(loss["do"]),
)
def test_nothing_is_decided_while_it_is_gone_and_the_vm_runs_once_soon_after(
    loss: dict[str, object],
) -> None:
    outcome = _play({"at": 29, **loss}, DIES)
    assert 69 < _at(outcome, "run.proof power_off") < 85
    assert outcome.splits == 0
    assert len(outcome.where["vm1"]) == 1


def test_a_second_engine_goes_on_while_the_first_is_stopped() -> None:
    stop = {"at": 29, "do": "engine.pause", "engine": "engine1", "s": 60}
    outcome = _play(stop, DIES, engines=["engine1", "engine2"])
    assert _at(outcome, "run.proof power_off") < 45


def test_what_a_stopped_engine_had_asked_is_void_when_it_goes_on() -> None:
    """It looked at a host that died meanwhile: its old answer must not count as a new one."""
    outcome = _play({"at": 28.01, "do": "engine.pause", "s": 30}, {**DIES, "at": 40})
    assert _at(outcome, "run.proof power_off") > 58
    assert outcome.view.seen["node1"] is not None
    assert outcome.view.seen["node1"] < 40_000 or "node1: host.answers" in "\n".join(outcome.log)


def test_a_word_of_a_person_is_lost_with_the_database() -> None:
    outcome = _play(
        {"at": 20, "do": "db.lose", "s": 10},
        {"at": 25, "do": "admin.observe"},
        {"at": 26, "do": "admin.stop", "vm": "vm1"},
        {**DIES, "at": 60},
    )
    assert len(outcome.where["vm1"]) == 1


def test_clocks_of_engines_are_asked_by_nobody() -> None:
    plain = _play(DIES)
    skewed = _play({"at": 5, "do": "engine.clock_skew", "s": -86400}, DIES)
    assert [line for line in skewed.log if "!" not in line] == [
        line for line in plain.log if "!" not in line
    ]


def test_the_portal_runs_in_one_vm_at_most() -> None:
    two = [{"name": name, "host": "node1", "portal": True} for name in ("a", "b")]
    with pytest.raises(BadScenario, match="one VM at most"):
        parse("x", {"hosts": HOSTS, "vms": two})
