"""The planner's bench at a tiny size: a right plan, and faults that are told."""

from portal.bench import pacemaker, planner

LINE = {
    "bench", "case", "n", "plan_ms", "peer_ms", "ratio", "limit_ms", "starts", "wrong",
    "first_wrong",
}  # fmt: skip


def test_a_plan_is_measured_and_checked() -> None:
    (line,) = planner.lines(["5/40"], 2, lambda _text: None)
    assert set(line) == LINE
    assert (line["starts"], line["wrong"]) == (8, 0)
    assert line["plan_ms"] > 0
    assert planner.faults(line) == []


def test_a_slow_or_wrong_or_empty_plan_is_a_fault() -> None:
    good = {"case": "x", "plan_ms": 9.0, "limit_ms": 10.0, "wrong": 0, "starts": 1}
    assert planner.faults(good) == []
    assert "10 at most" in planner.faults(good | {"plan_ms": 11.0})[0]
    assert "a wrong plan" in planner.faults(good | {"wrong": 1, "first_wrong": "full"})[0]
    assert "nothing was started" in planner.faults(good | {"starts": 0})[0]


def test_the_peer_plans_the_same_cluster_or_is_left_out() -> None:
    facts = planner.facts_of(planner.rows(5, 40))
    text = "".join(pacemaker._cib(facts))
    assert text.count("<primitive ") == 40
    assert text.count("<lrm_resource ") == 32  # those of the dead host run nowhere
    assert text.count('crmd="offline"') == 1
    assert pacemaker.peer_ms(facts, patience_s=0.0001) is None
