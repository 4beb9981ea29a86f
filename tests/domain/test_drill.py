"""What forbids a fire drill, and what a host that was switched on again has shown."""

from typing import Any

import pytest

from fencing.domain.drill import Back, came_back, first_level, obstacle
from fencing.domain.facts import HostFacts, Identity
from fencing.domain.power import PowerProblem
from hosts.domain.states import HostStatus, Wanted
from tests.domain.facts import NOW, POLICY, ago, bmc, cluster, host, run, vm

RESTING: dict[str, Any] = {"status": HostStatus.MAINTENANCE, "wanted": Wanted.MAINTENANCE}


def resting(**changes: Any) -> HostFacts:
    return host(1, **(RESTING | changes))


def why(item: HostFacts, *vms: Any, **changes: Any) -> str:
    found = obstacle(cluster(item, host(2), vms=vms, **changes), item, POLICY, NOW)
    return found.text if found is not None else ""


def test_an_empty_host_in_maintenance_with_a_proven_bmc_may_be_tried() -> None:
    assert why(resting(), vm(2, run=run(2, on=2)), vm(3)) == ""


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (resting(is_self=True), "this portal runs on node1"),
        (resting(status=HostStatus.PREPARING), "not in maintenance"),
        (resting(wanted=Wanted.ACTIVE), "not in maintenance"),
        (resting(fence_open=True), "being switched already"),
        (resting(power_on_open=True), "being switched already"),
        (resting(departing=True), "being switched already"),
        (resting(last_seen=None), "does not answer"),
        (resting(last_seen=ago(11)), "does not answer"),
        (resting(controllers=()), "no power controller"),
        (resting(controllers=(bmc(problem=PowerProblem.UNREACHABLE),)), "gives no answer"),
        (resting(controllers=(bmc(trusted=False),)), "distrusted"),
        (resting(controllers=(bmc(identity=Identity.UNPROVEN),)), "not proven whose"),
    ],
)
def test_what_forbids_a_drill_is_said(item: HostFacts, text: str) -> None:
    assert text in why(item)


def test_ten_seconds_without_an_answer_are_not_silence() -> None:
    assert why(resting(last_seen=ago(10))) == ""


@pytest.mark.parametrize(
    "changes", [{"on": 1}, {"on": 2, "migrating_to": 1}, {"on": 2, "contender": 1}], ids=str
)
def test_a_run_that_may_be_there_forbids_it(changes: dict[str, Any]) -> None:
    assert "runs are open on node1: vm1" in why(resting(), vm(1, run=run(1, **changes)))


def test_a_start_on_its_way_there_forbids_it() -> None:
    assert "a start is under way" in why(resting(), starts_on={1: 1})
    assert why(resting(), starts_on={2: 1}) == ""


def test_only_the_first_level_is_tried() -> None:
    item = resting(controllers=(bmc(1), bmc(2, level=2, trusted=False)))
    assert [way.pk for way in first_level(item)] == [1]
    assert why(item) == ""


@pytest.mark.parametrize(
    ("last_seen", "marker", "told"),
    [
        (None, "new", Back.NOT_YET),
        (ago(10), "new", Back.NOT_YET),
        (ago(9), "", Back.NOT_YET),
        (ago(9), "old", Back.NEVER_OFF),
        (ago(9), "new", Back.YES),
    ],
)
def test_a_host_is_back_by_a_later_answer_of_another_boot(
    last_seen: Any, marker: str, told: Back
) -> None:
    seen = came_back(
        last_seen=last_seen, marker=marker, marker_before="old", switched_on_at=ago(10)
    )
    assert seen is told
