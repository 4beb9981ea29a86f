"""What happens to VMs when hosts, BMCs and networks fail."""

import time
from typing import Any

import pytest

from tests.e2e.story import Story

pytestmark = pytest.mark.e2e


def test_a_host_that_loses_power_gives_up_its_vms_with_proof(story: Story) -> None:
    host = story.host_with_vms()
    lost = story.vms_on(host)

    story.hit("host.power_off", host=host)

    story.wait_elsewhere(lost, host)
    assert not story.fenced()
    for name in lost:
        newest, before = story.runs(name)[:2]
        assert story.proof(before) == "power_off"
        assert newest["generation"] == before["generation"] + 1
    story.wait(story.rig.calm, 60, "the host to be switched on again")


def test_a_host_whose_kernel_crashed_is_fenced_first(story: Story) -> None:
    host = story.host_with_vms()
    lost = story.vms_on(host)

    story.hit("host.panic", host=host)

    story.wait_elsewhere(lost, host)
    assert story.fenced()
    incident = story.rig.api.get("incidents/", host=story.host(host)["id"])[0]
    where = f"incidents/{incident['id']}/"
    story.wait(lambda: story.rig.api.get(where)["outcome"] == "failed_over", 30, "its outcome")
    assert "row 6" in {line["rule"] for line in story.rig.api.get(where)["timeline"]}


def test_a_frozen_libvirtd_is_left_alone(story: Story) -> None:
    host = story.host_with_vms()
    vms = story.vms_on(host)

    story.hit("host.hang", host=host)

    story.wait(lambda: story.host(host)["ha"]["state"] == "degraded", 30, "degraded")
    # Well beyond grace: a policy that only counted seconds would have fenced by now.
    hung_at = time.monotonic()
    story.wait(lambda: time.monotonic() - hung_at > 15, 30, "more than the grace")
    assert story.host(host)["ha"]["state"] == "degraded"
    assert not story.fenced()
    assert not story.events("vm.starting")
    assert "host_degraded" in story.alerts()

    story.hit("host.thaw", host=host)
    story.wait(lambda: story.host(host)["ha"]["state"] == "available", 30, "available again")
    assert story.vms_on(host) == vms


def test_a_short_isolation_fences_nothing_and_a_long_one_does(story: Story) -> None:
    host = story.host_with_vms()
    vms = story.vms_on(host)

    cut_at = story.hit("host.isolate", host=host)["at_monotonic"]
    story.wait(lambda: time.monotonic() - cut_at >= 8, 20, "grace - 2 s")
    story.hit("host.rejoin", host=host)
    story.wait(lambda: story.host(host)["status"] == "up", 20, "the host to answer again")
    story.wait(lambda: story.host(host)["ha"]["state"] == "available", 20, "available")
    assert not story.fenced()
    assert story.vms_on(host) == vms

    cut_at = story.hit("host.isolate", host=host)["at_monotonic"]
    story.wait(lambda: time.monotonic() - cut_at >= 15, 20, "grace + 5 s")
    story.hit("host.rejoin", host=host)
    story.wait_elsewhere(vms, host)
    assert story.fenced()


def test_a_pulled_cord_waits_for_a_person(story: Story) -> None:
    host = story.host_with_vms()
    lost = story.vms_on(host)
    pk = story.host(host)["id"]

    story.hit("power.cut", host=host)

    story.wait(lambda: "confirm_reboot" in story.alerts(), 40, "the question to a person")
    assert not story.events("vm.starting")
    assert {story.vm(name)["state"] for name in lost} == {"unknown"}

    wrong = story.rig.api.post(
        f"hosts/{pk}/actions/confirm-rebooted/", {"host_name": "other", "reason": "I looked"}
    )
    assert wrong.status_code == 422
    assert "host_name" in wrong.text
    story.act("hosts", pk, "confirm-rebooted", host_name=host, reason="I pulled its cord")
    story.wait_elsewhere(lost, host)
    for name in lost:
        assert story.proof(story.runs(name)[1]) == "manual"

    story.hit("power.restore", host=host)
    story.wait(lambda: story.host(host)["status"] == "up", 60, "the host to be back")


def test_a_confirmation_is_refused_while_the_bmc_says_on(story: Story) -> None:
    host = story.host_with_vms()
    vms = story.vms_on(host)
    story.hit("host.hang", host=host)
    story.wait(lambda: story.host(host)["ha"]["state"] == "degraded", 30, "degraded")

    pk = story.host(host)["id"]
    answer = story.act("hosts", pk, "confirm-rebooted", host_name=host, reason="I believe so")
    place = answer.headers["Location"]

    def ended() -> dict[str, str]:
        row = story.rig.api.http.get(place).json()
        return row if row["state"] in ("done", "refused") else {}

    row = story.wait(ended, 20, "the confirmation to be weighed")
    assert row["state"] == "refused"
    assert not story.events("vm.starting")
    story.hit("host.thaw", host=host)
    story.wait(lambda: story.vms_on(host) == vms, 30, "the same VMs on the same host")


def test_a_wrong_bmc_password_is_said_clearly_and_works_after_repair(story: Story) -> None:
    host = story.host_with_vms()
    lost = story.vms_on(host)
    row = story.controller(host)
    refused = story.change_bmc(row, password="not-the-password")
    assert (refused.status_code, refused.json()["field"]) == (400, "password")
    story.hit("bmc.auth_fail", host=host)

    story.hit("host.panic", host=host)
    story.wait(lambda: {"bmc_auth", "confirm_reboot"} <= story.alerts(), 40, "both alerts")
    assert not story.events("vm.starting")
    alert = next(
        row for row in story.rig.api.get("alerts/", open="true") if row["kind"] == "bmc_auth"
    )
    assert "password" in alert["cure"]

    story.hit("bmc.repair", host=host)
    story.act("power-controllers", row["id"], "test")
    story.wait_elsewhere(lost, host)
    story.wait(lambda: "confirm_reboot" not in story.alerts(), 10, "nobody to be asked any more")
    assert story.fenced()


def test_what_cannot_be_reached_or_is_there_already_is_not_entered(story: Story) -> None:
    first = story.rig.box.hosts[0]
    cluster = story.host(first.name)["cluster"]
    before = (story.rig.api.get("hosts/"), story.rig.api.get("power-controllers/"))
    for uri, words in (
        ("test+tcp://127.0.0.1:9/default", "no host can be used there"),
        (f"test+tcp://LOCALHOST:{first.libvirt_port}/default", "edit that one"),
        ("qemu+ssh://127.0.0.1/system?command=/bin/true", "without '?' options"),
    ):
        answer = story.rig.api.post("hosts/", {"name": "n9", "uri": uri, "cluster": cluster})
        assert (answer.status_code, answer.json()["field"]) == (400, "uri"), answer.text
        assert words in answer.json()["detail"]
        assert answer.json()["cure"]
    other = {"address": "127.0.0.1", "port": 9, "username": "a", "password": "b"}
    host = story.host(first.name)["id"]
    answer = story.rig.api.post("power-controllers/", other | {"host": host})
    assert (answer.status_code, answer.json()["field"]) == (400, "address"), answer.text
    assert [row["id"] for row in story.rig.api.get("hosts/")] == [row["id"] for row in before[0]]
    assert len(story.rig.api.get("power-controllers/")) == len(before[1])


def test_swapped_bmcs_contradict_and_restart_nothing(story: Story) -> None:
    host = story.host_with_vms()
    other = next(item.name for item in story.rig.box.hosts if item.name != host)
    before = dict(story.rig.up())
    story.hit("bmc.swap", host=host, with_=other)

    story.hit("host.panic", host=host)
    story.wait(lambda: {"bmc_foreign", "confirm_reboot"} <= story.alerts(), 40, "both alerts")

    assert not story.fenced()
    assert not story.events("vm.starting")
    assert story.rig.control.status()[other]["power"] == "on"
    assert {name: home for name, home in story.rig.up().items() if home != host} == {
        name: home for name, home in before.items() if home != host
    }


def test_a_guest_that_was_shut_down_on_purpose_stays_down(story: Story) -> None:
    name = min(story.rig.up())

    story.hit("vm.guest_shutdown", vm=name)

    story.wait(lambda: story.vm(name)["state"] == "down", 20, "down")
    rounds = len(story.events())
    down_at = time.monotonic()
    story.wait(lambda: time.monotonic() - down_at > 6, 10, "several rounds more")
    assert story.vm(name)["state"] == "down"
    assert name not in story.rig.truth()
    assert story.proof(story.runs(name)[0]) == "observed_off"
    assert len(story.events()) >= rounds


def test_a_vm_that_crashed_restarts(story: Story) -> None:
    name = min(story.rig.up())
    before = story.vm(name)["generation"]

    story.hit("vm.crash", vm=name)

    story.wait(lambda: story.vm(name)["generation"] == before + 1, 20, "the next generation")
    story.wait(lambda: name in story.rig.up(), 20, "up again")
    assert story.proof(story.runs(name)[1]) == "observed_off"


def test_a_host_that_comes_back_keeps_no_stale_copy(story: Story) -> None:
    host = story.host_with_vms()
    lost = story.vms_on(host)
    story.hit("host.power_off", host=host)
    story.wait_elsewhere(lost, host)

    story.wait(story.rig.calm, 60, "the host back")

    facts = story.rig.control.status()[host]
    assert not set(facts["running"]) & lost
    assert not set(facts["defined"]) & lost


def test_a_second_copy_started_by_hand_is_suspended_and_shown(story: Story) -> None:
    story.may_split = True  # a person with virsh does what the portal never would
    name, home = min(story.rig.up().items())
    other = next(item.name for item in story.rig.box.hosts if item.name != home)

    story.hit("libvirt.external_start", vm=name, host=other)

    story.wait(lambda: story.vm(name)["quarantined"], 20, "the quarantine")
    story.wait(lambda: "split_brain" in story.alerts(), 20, "the alarm")
    story.wait(lambda: story.said("a second copy executes", "vm.split_brain"), 10, "the event")
    rows = story.rig.api.get("operations/", kind="suspend")
    assert any(row["state"] == "done" for row in rows) or story.wait(
        lambda: any(
            row["state"] == "done" for row in story.rig.api.get("operations/", kind="suspend")
        ),
        20,
        "the second copy to be suspended",
    )
    story.hit("libvirt.external_destroy", vm=name, host=other)


def test_a_start_that_was_abandoned_in_a_frozen_host_yields_one_copy(story: Story) -> None:
    name, home = min(story.rig.up().items())
    target = next(item.name for item in story.rig.box.hosts if item.name != home)
    story.may_start_only_on(target, name)
    story.hit("host.delay", host=target, s=0.15)

    story.hit("vm.crash", vm=name)
    # The define has been carried out; the create is on its way, in the slow network.
    story.wait(lambda: name in story.rig.control.status()[target]["defined"], 30, "the define")
    defined_at = time.monotonic()
    story.wait(lambda: time.monotonic() - defined_at > 0.8, 2, "the create to be sent")
    story.hit("host.hang", host=target)

    def start() -> dict[str, Any]:
        rows = story.rig.api.get("operations/", kind="start", vm=story.vm(name)["id"])
        newest: dict[str, Any] = max(rows, key=lambda row: int(row["id"].rpartition("-")[2]))
        return newest

    story.wait(lambda: "no answer" in str(start()["steps"]), 40, "the start to be unanswered")
    assert story.vm(name)["state"] != "up"
    generation = story.vm(name)["generation"]
    story.wait(lambda: story.host(target)["ha"]["state"] == "degraded", 40, "left alone")
    assert story.vm(name)["generation"] == generation, "restarted without a proof"

    story.hit("host.thaw", host=target)
    story.hit("host.delay", host=target, s=0)
    story.wait(lambda: story.rig.truth().get(name) == [target], 90, "one copy")
    story.wait(lambda: name in story.rig.up(), 20, "the portal to know it")
