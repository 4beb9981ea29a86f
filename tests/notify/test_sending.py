"""Messages: digests, doubles, retries, rest, alerts; sent to a real receiver, on each database."""

from datetime import timedelta
from typing import Any

import pytest

from fencing.domain.alerts import AlertKind
from fencing.models import Alert
from portal.core.models import Delivery, Event, NotificationTarget
from portal.lib import queue
from portal.lib.told import Told
from portal.notify import operations, tasks
from portal.notify.domain import pace
from portal.notify.domain.telling import FAILING
from portal.notify.services import sending, targets
from portal.notify.services.collecting import collect
from tests.core.racing import race
from tests.notify.conftest import Enter, HandClock
from tests.notify.receivers import Receiver
from tests.notify.test_collecting import happen


def settle(hands: HandClock, seconds: float = 0) -> None:
    """Do what the sweep and the worker of the queue would do at that time."""
    hands.on(seconds)
    tasks.sweep()
    port = queue.queue()
    assert isinstance(port, queue.MemoryQueue)
    while port.sent:
        task, args, _ = port.sent.pop(0)
        if task == targets.DELIVER:
            tasks.deliver(*args)


def states() -> list[str]:
    """Return the states of all deliveries, oldest first."""
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


def failing_alerts() -> list[str]:
    """Return the texts of the open alerts about notifications."""
    rows = Alert.objects.filter(kind=AlertKind.NOTIFICATION_FAILING, closed_at=None)
    return list(rows.values_list("text", flat=True))


def test_an_event_arrives_signed_with_its_link_and_what_to_do(
    enter: Enter, receiver: Receiver, hands: HandClock, settings: Any
) -> None:
    enter(receiver.url)
    event = happen("alert.confirm_reboot", incident=7)
    settle(hands)
    (call,) = receiver.calls
    assert call.path == "/hook?token=url-token"
    assert call.is_signed()
    assert not call.is_signed("another secret")
    told = call.json
    assert call.headers["X-Holdfast-Delivery"] == told["id"] == Delivery.objects.get().message
    assert (told["type"], told["needs_person"]) == ("events", True)
    (item,) = told["events"]
    assert (item["id"], item["kind"]) == (event, "alert.confirm_reboot")
    assert item["link"] == f"{settings.BASE_URL}/incidents/7/"
    assert item["what_to_do"].startswith("Go and look")
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.http_status) == ("done", 1, 200)


def test_a_burst_is_one_message_and_what_needs_a_person_does_not_wait_for_it(
    enter: Enter, receiver: Receiver, hands: HandClock
) -> None:
    enter(receiver.url, Told.EVERYTHING)
    for _ in range(50):
        happen("vm.running")
    happen("alert.no_room")
    settle(hands)
    assert [len(call.json["events"]) for call in receiver.calls] == [1]
    settle(hands, 31)
    assert [len(call.json["events"]) for call in receiver.calls] == [1, 50]
    assert set(states()) == {"done"}


def test_a_flood_of_what_needs_a_person_is_gathered_as_well(
    enter: Enter, receiver: Receiver, hands: HandClock
) -> None:
    enter(receiver.url)
    for _ in range(40):
        happen("alert.no_room")
        settle(hands, 1)
    settle(hands, 60)
    assert sum(len(call.json["events"]) for call in receiver.calls) == 40
    assert len(receiver.calls) <= 2 * pace.BURST


def test_of_many_workers_one_sends(enter: Enter, receiver: Receiver, hands: HandClock) -> None:
    target = enter(receiver.url)
    happen("alert.no_room")
    collect(hands.now())
    told = race(lambda _: operations.deliver(target.pk), 6)
    assert sorted(map(str, told)) == ["False"] * 5 + ["True"]
    assert len(receiver.calls) == 1


@pytest.mark.parametrize("moment", ["before it sent", "after it sent"])
def test_a_worker_killed_in_the_middle_sends_again_under_the_same_id(
    moment: str, enter: Enter, receiver: Receiver, hands: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = enter(receiver.url)
    happen("alert.no_room")
    happen("alert.no_room")
    collect(hands.now())

    class Killed(BaseException):
        """kill -9: nothing is caught and nothing is recorded."""

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(
            *((operations, "_send", die) if "before" in moment else (sending, "delivered", die))
        )
        with pytest.raises(Killed):
            operations.deliver(target.pk)
    assert set(states()) == {"acting"}
    settle(hands, 1)
    assert set(states()) == {"acting"}  # the claim still stands
    settle(hands, pace.LEASE.total_seconds())
    assert set(states()) == {"done"}
    assert len(receiver.calls) == (1 if "before" in moment else 2)
    assert len({call.headers["X-Holdfast-Delivery"] for call in receiver.calls}) == 1
    assert len({call.body for call in receiver.calls}) == 1


def test_a_result_that_comes_after_the_claim_was_taken_over_changes_nothing(
    enter: Enter, hands: HandClock
) -> None:
    target = enter("http://127.0.0.1:9/")
    happen("alert.no_room")
    collect(hands.now())
    first = sending.claim(target.pk, hands.now())
    second = sending.claim(target.pk, hands.on(61))
    assert first is not None
    assert second is not None
    assert (first.id, first.events) == (second.id, second.events)
    assert not sending.undelivered(first, sending.Undelivered("late", ""), hands.now())
    assert not sending.delivered(first, 200, hands.now())
    assert sending.delivered(second, 200, hands.now())
    assert states() == ["done"]


def test_a_failure_is_tried_again_ever_more_slowly_then_given_up_and_can_be_sent_again(
    enter: Enter, receiver: Receiver, hands: HandClock
) -> None:
    enter(receiver.url)
    happen("alert.no_room")
    receiver.status = 500
    settle(hands)
    settle(hands, 9)
    assert len(receiver.calls) == 1
    settle(hands, 1)
    assert len(receiver.calls) == 2
    row = Delivery.objects.get()
    assert (row.state, row.http_status, row.error_text) == (
        "waiting",
        500,
        "the receiver answered 500",
    )
    assert row.error_cure
    for _ in range(40):
        settle(hands, 3600)
    assert states() == ["failed"]
    assert len(receiver.calls) < 30
    receiver.status = 200
    targets.send_again(Delivery.objects.get(), actor="ann", now=hands.now())
    settle(hands)
    assert states() == ["done"]
    assert len({call.json["id"] for call in receiver.calls}) == 1


def test_a_failing_target_is_told_to_the_others_once_and_never_to_itself(
    enter: Enter, receiver: Receiver, hands: HandClock
) -> None:
    broken = enter("http://127.0.0.1:9/", Told.EVERYTHING, "broken")
    enter(receiver.url, Told.NEEDS_PERSON, "works")
    happen("alert.no_room")
    for _ in range(30):
        settle(hands, 60)
    told = [item for call in receiver.calls for item in call.json["events"]]
    assert [item["kind"] for item in told] == ["alert.no_room", FAILING]
    assert "broken" in told[1]["what_happened"]
    events = Event.objects.filter(kind__in=(FAILING, "alert.notification_failing"))
    assert events.count() == 2
    assert not Delivery.objects.filter(target=broken, event__in=events.values("pk")).exists()
    assert len(failing_alerts()) == 1
    assert "broken" in failing_alerts()[0]


def test_a_target_that_answers_again_gets_what_waits_at_once_and_the_alert_ends(
    enter: Enter, receiver: Receiver, hands: HandClock
) -> None:
    target = enter(receiver.url)
    receiver.status = 503
    for _ in range(8):
        happen("alert.no_room")
        settle(hands, 60)
    assert failing_alerts()
    tried = len(receiver.calls)
    assert tried <= 8  # a target that fails is not hammered with all that waits for it
    receiver.status = 204
    settle(hands, 60)
    assert set(states()) == {"done"}
    assert failing_alerts() == []
    target = NotificationTarget.objects.get(pk=target.pk)
    assert (target.failures, target.resting_until, target.error_text) == (0, None, "")
    arrived = {item["id"] for call in receiver.calls[tried:] for item in call.json["events"]}
    assert len(arrived) == 8


def test_a_target_gets_one_message_at_a_time_so_that_one_that_hangs_holds_one_thread(
    enter: Enter, receiver: Receiver, hands: HandClock
) -> None:
    target = enter(receiver.url)
    happen("alert.no_room")
    collect(hands.now())
    first = sending.claim(target.pk, hands.now())
    happen("alert.no_room")
    collect(hands.now())
    assert not operations.deliver(target.pk)
    assert first is not None
    sending.delivered(first, 200, hands.now())
    settle(hands)
    assert states() == ["done", "done"]


def test_a_test_is_tried_once_even_while_the_target_rests_or_is_off(
    enter: Enter, receiver: Receiver, hands: HandClock
) -> None:
    target = enter(receiver.url, enabled=False)
    NotificationTarget.objects.update(resting_until=hands.now() + timedelta(hours=1))
    test = targets.ask_test(target, actor="ann", now=hands.now())
    settle(hands)
    assert receiver.calls[0].json["type"] == "test"
    test.refresh_from_db()
    assert test.state == "done"
    receiver.status = 404
    targets.ask_test(target, actor="ann", now=hands.now())
    for _ in range(3):
        settle(hands, 60)
    assert states() == ["done", "failed"]
    assert len(receiver.calls) == 2
    assert failing_alerts() == []


def test_a_message_that_cannot_be_made_ends_and_holds_up_nothing_else(
    enter: Enter, receiver: Receiver, hands: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(receiver.url)
    happen("alert.no_room")

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(operations, "told_events", broken)
        settle(hands)
    row = Delivery.objects.get()
    assert (row.state, row.error_text) == (
        "waiting",
        "the portal could not send it (ZeroDivisionError)",
    )
    happen("alert.no_room")
    settle(hands, 20)
    assert states() == ["done", "done"]


def test_the_secret_is_in_no_column_event_log_or_wake_up_in_clear(
    enter: Enter, receiver: Receiver, hands: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    canary = "canary-secret-of-a-webhook"
    caplog.set_level("DEBUG")
    target = enter(receiver.url, secret=canary)
    receiver.status = 500
    happen("alert.no_room")
    settle(hands)
    targets.edit(target, {"secret": f"{canary}-2"}, actor="ann", now=hands.now())
    settle(hands, 60)
    assert receiver.calls[-1].is_signed(f"{canary}-2")
    seen = [caplog.text, str(list(Event.objects.values())), str(list(Delivery.objects.values()))]
    with_columns = NotificationTarget.objects.extra(select={"raw": "secret"})
    seen.append(str(list(with_columns.values_list("raw"))))
    assert "gAAAA" in seen[-1]
    for text in seen:
        assert canary not in text
    assert "url-token" not in "".join(seen[:3])
