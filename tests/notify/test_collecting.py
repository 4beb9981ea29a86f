"""From events to deliveries: none lost, none doubled, whoever is killed, on each database."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction

from fencing.services.incidents import open_incident
from hosts.models import Cluster, Host
from portal.core.models import Delivery, Event, NotificationTarget
from portal.core.services import record_event
from portal.lib.told import Told
from portal.notify.selectors import told_events
from portal.notify.services import collecting, targets
from portal.notify.services.collecting import collect, forget_old
from tests.core.racing import race
from tests.notify.conftest import T0, Enter, HandClock

URL = "http://127.0.0.1:9/"


def happen(kind: str = "fence.failed", **more: Any) -> int:
    """Record one event; return its id."""
    return record_event(kind, f"node1: {kind}", now=T0, **more).pk


def entered(**which: Any) -> list[int]:
    """Return the events that have a delivery."""
    rows = Delivery.objects.filter(**which).order_by("event")
    return list(rows.values_list("event", flat=True))


def test_only_what_happens_after_a_target_was_entered_is_told(enter: Enter) -> None:
    happen()
    enter(URL)
    new = [happen(), happen()]
    collect(T0)
    assert entered() == new


def test_collecting_twice_or_late_doubles_nothing(enter: Enter) -> None:
    enter(URL)
    first = happen()
    collect(T0)
    collect(T0)
    second = happen()
    collect(T0 + timedelta(days=9))
    assert entered() == [first, second]


def test_many_collectors_at_once_enter_each_event_once(enter: Enter) -> None:
    enter(URL)
    events = [happen() for _ in range(20)]
    told = race(lambda _: collect(T0), 6)
    assert [item for item in told if item is not None] == []
    assert entered() == events


class Killed(Exception):
    """The worker dies here."""


@pytest.mark.parametrize("where", ["bulk_create", "announce"])
def test_a_worker_killed_while_it_enters_deliveries_loses_and_doubles_nothing(
    where: str, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(URL)
    events = [happen(), happen()]

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if where == "bulk_create":
            patch.setattr(type(Delivery.objects), "bulk_create", die)
        else:
            patch.setattr(collecting, "announce_on_commit", die)
        with pytest.raises(Killed):
            collect(T0)
    assert entered() == []
    collect(T0)
    assert entered() == events


def test_an_event_of_a_transaction_that_is_still_open_is_not_overtaken(
    enter: Enter, either: str
) -> None:
    """The claim that the mark rests on: ids become visible in order."""
    enter(URL)
    begun, finish = threading.Event(), threading.Event()
    written: list[int] = []

    def slow() -> None:
        with transaction.atomic():
            written.append(happen())
            begun.set()
            finish.wait(20)
        connections.close_all()

    def second() -> None:
        written.append(happen())
        connections.close_all()

    threads = [threading.Thread(target=slow), threading.Thread(target=second)]
    threads[0].start()
    begun.wait(20)
    threads[1].start()
    if either == "postgres":  # SQLite has one writer, so collecting itself would wait
        threads[1].join(0.3)
        assert len(written) == 1  # the second waits for the lock of the chain
        collect(T0)
        assert entered() == []
    finish.set()
    for thread in threads:
        thread.join(20)
    collect(T0)
    assert entered() == sorted(written)
    assert len(written) == 2


def test_each_target_has_its_own_mark_and_its_own_wishes(enter: Enter) -> None:
    asks = enter(URL, Told.NEEDS_PERSON, "asks")
    alert = happen("alert.confirm_reboot")
    all_of_it = enter(URL, Told.EVERYTHING, "all")
    late = happen("vm.running")
    collect(T0)
    assert entered(target=asks) == [alert]
    assert entered(target=all_of_it) == [late]


def test_more_events_than_one_transaction_takes_are_all_told(
    enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "BATCH", 3)
    enter(URL)
    events = [happen() for _ in range(8)]
    collect(T0)
    assert entered() == events


def test_a_target_that_is_off_is_told_nothing_of_that_time(enter: Enter, hands: HandClock) -> None:
    row = enter(URL)
    waits = happen()
    collect(T0)
    targets.edit(row, {"enabled": False}, actor="ann", now=T0)
    assert Delivery.objects.get(event=waits).state == "cancelled"
    happen()
    collect(T0)
    row = NotificationTarget.objects.get(pk=row.pk)
    targets.edit(row, {"enabled": True}, actor="ann", now=T0)
    later = happen()
    collect(T0)
    assert entered() == [waits, later]


def test_what_needs_a_person_is_due_at_once_and_the_rest_together(
    enter: Enter, hands: HandClock
) -> None:
    enter(URL)
    first = happen()
    collect(T0)
    second, urgent = happen(), happen("alert.confirm_reboot")
    collect(hands.on(7))
    due = dict(Delivery.objects.values_list("event", "due_at"))
    assert due[first] == due[second] == T0 + timedelta(seconds=30)
    assert due[urgent] == T0 + timedelta(seconds=7)


def test_a_cluster_is_found_through_the_host_and_the_incident_through_its_time(
    enter: Enter,
) -> None:
    main, other = (Cluster.objects.create(name=name) for name in ("main", "other"))
    hosts = [
        Host.objects.create(
            name=f"node{number}", uri=f"qemu+tls://node{number}/system", cluster=cluster,
            status_since=T0, look_due_at=T0, missed_since=T0 - timedelta(seconds=5),
        )
        for number, cluster in enumerate((main, other))
    ]  # fmt: skip
    scoped = enter(URL, cluster=main.pk)
    alerts = [happen("alert.confirm_reboot", host=host.pk) for host in hosts]
    incident = open_incident(hosts[0].pk, T0 + timedelta(seconds=1))
    collect(T0)
    assert entered(target=scoped) == alerts[:1]
    told = told_events(alerts[:1])[0]
    assert (told.cluster, told.host_name, told.incident) == (main.pk, "node0", incident.pk)


def test_the_log_is_kept_for_ninety_days_and_the_events_for_ever(enter: Enter) -> None:
    enter(URL)
    happen()
    collect(T0)
    Delivery.objects.update(state="done", ended_at=T0)
    forget_old(T0 + timedelta(days=89))
    assert Delivery.objects.count() == 1
    events = Event.objects.count()
    forget_old(T0 + timedelta(days=91))
    assert Delivery.objects.count() == 0
    assert Event.objects.count() == events
