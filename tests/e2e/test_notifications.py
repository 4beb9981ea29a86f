"""Notifications from a real worker to a real receiver, while a host really fails."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.story import Story
from tests.notify.receivers import SECRET, Receiver, web_receiver

pytestmark = pytest.mark.e2e


@pytest.fixture
def receiver(story: Story) -> Iterator[Receiver]:
    """A receiver that was entered as a target, and is removed afterwards."""
    with web_receiver() as made:
        fields = {"name": "e2e", "kind": "webhook", "address": made.url, "secret": SECRET}
        answer = story.rig.api.post("notification-targets/", fields)
        assert answer.status_code == 201, answer.text
        yield made
        story.rig.api.http.delete(f"notification-targets/{answer.json()['id']}/")


def told(receiver: Receiver) -> dict[str, dict[str, Any]]:
    """Return, by kind, what has arrived."""
    return {item["kind"]: item for call in receiver.calls for item in call.json["events"]}


def noted(story: Story) -> set[int]:
    """Return the events whose delivery is written down; that is after the receiver's answer."""
    return {row["event"] for row in story.rig.api.get("deliveries/", state="done")}


def test_the_test_button_sends_a_signed_message(story: Story, receiver: Receiver) -> None:
    pk = story.rig.api.named("notification-targets/", "e2e")["id"]
    where = story.act("notification-targets", pk, "test").headers["Location"]
    story.wait(lambda: receiver.calls, 15, "the test to arrive")
    assert receiver.calls[0].json["type"] == "test"
    assert receiver.calls[0].is_signed()
    story.wait(lambda: story.rig.api.http.get(where).json()["state"] == "done", 10, "the log")


def test_a_failover_is_told_to_its_end_although_the_worker_was_killed_meanwhile(
    story: Story, receiver: Receiver
) -> None:
    host = story.host_with_vms()
    lost = story.vms_on(host)

    story.hit("host.panic", host=host)
    story.wait(lambda: story.events("ha.fencing"), 40, "the fence")
    with story.rig.held_down("default"):
        story.wait_elsewhere(lost, host)
        assert "host.proven_off" not in told(receiver)

    wanted = {"ha.fencing", "host.proven_off", "incident.closed"}
    story.wait(lambda: wanted <= told(receiver).keys(), 150, "the failover to be told")
    assert all(call.is_signed() for call in receiver.calls)
    item = told(receiver)["host.proven_off"]
    assert item["host"]["name"] == host
    assert item["link"] == f"{story.rig.url}/incidents/{item['incident']}/"
    arrived = {item["id"] for item in told(receiver).values()}
    story.wait(lambda: arrived <= noted(story), 15, "the log to know what has arrived")
