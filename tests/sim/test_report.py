"""The report for programs is the same in every process, whatever order its facts came in."""

from dataclasses import replace

from portal.sim.report import report
from portal.sim.scenario import parse
from portal.sim.simulation import simulate

ALERTS = [
    ("split_brain", "", "vm1", 140_520),
    ("proof_disproved", "node1", "", 140_520),
    ("bmc_unreachable", "node1", "", 38_300),
    ("proof_disproved", "node2", "", 140_520),
]


def test_alerts_of_the_same_moment_have_one_order() -> None:
    """A set's own order depends on what was put into it first and on the process's hash seed."""
    scenario = parse("x", {"hosts": [{"name": "node1"}], "vms": [], "until": 1})
    outcome = simulate(scenario, "pure")
    for order in (ALERTS, ALERTS[::-1]):
        view = replace(outcome.view, alerts=dict.fromkeys(order).keys())
        shown = report(replace(outcome, view=view))["alerts"]
        assert [(item["at"], item["kind"], item["host"]) for item in shown] == [
            (38.3, "bmc_unreachable", "node1"),
            (140.52, "proof_disproved", "node1"),
            (140.52, "proof_disproved", "node2"),
            (140.52, "split_brain", ""),
        ]
