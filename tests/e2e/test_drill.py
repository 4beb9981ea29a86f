"""A fire drill over real IPMI on a real libvirtd: power cut, read back, on, booted, back."""

import pytest

from tests.e2e.story import Story

pytestmark = pytest.mark.e2e


def test_a_fire_drill_cuts_a_host_s_power_and_sees_it_come_back(story: Story) -> None:
    host = story.host_with_vms()
    pk = story.host(host)["id"]
    for name in story.vms_on(host):
        story.act("vms", story.vm(name)["id"], "stop")
    story.act("hosts", pk, "maintenance")
    story.wait(lambda: story.host(host)["status"] == "maintenance", 60, "maintenance")

    story.act("hosts", pk, "fire-drill")
    story.wait(lambda: story.events("drill.passed"), 120, "the drill to pass")

    last = story.host(host)["last_drill"]
    assert last["passed"]
    assert [step["name"] for step in last["steps"]][-2:] == ["answered again", "says on again"]
    assert story.host(host)["status"] == "maintenance"
    story.act("hosts", pk, "activate")
    story.wait(lambda: story.host(host)["status"] == "up", 30, "the host to be used again")
