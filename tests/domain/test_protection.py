"""Whether HA protects a VM, in words."""

from dataclasses import replace

import pytest

from vms.domain.protection import Shelter, why_not

SAFE = Shelter(
    ha=True,
    quarantined=False,
    has_xml=True,
    armed=True,
    cluster="main",
    host="node1",
    bmcs=2,
    sure=1,
)


def test_a_vm_with_a_proven_bmc_in_an_armed_cluster_is_protected() -> None:
    assert why_not(SAFE) == ()


def test_a_vm_that_is_down_and_wanted_up_needs_no_host() -> None:
    assert why_not(replace(SAFE, host="", bmcs=0, sure=0)) == ()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ha": False}, "HA is off for this VM"),
        ({"armed": False}, "main only observes"),
        ({"quarantined": True}, "quarantined"),
        ({"disks_illegal": "a merge failed"}, "must not be used: a merge failed"),
        ({"suspended": True}, "suspended"),
        ({"has_xml": False}, "XML"),
        ({"wanted_up": False}, "wanted down"),
        ({"host_ha": False}, "HA is off for its host, node1"),
        ({"bmcs": 0, "sure": 0}, "node1 has no power controller"),
        ({"sure": 0}, "trusted and proven"),
    ],
)
def test_each_reason_is_told(changes: dict[str, object], word: str) -> None:
    (reason,) = why_not(replace(SAFE, **changes))  # type: ignore[arg-type]  # a test's table
    assert word in reason


def test_all_reasons_are_told_at_once() -> None:
    assert len(why_not(replace(SAFE, ha=False, armed=False, bmcs=0, sure=0))) == 3
