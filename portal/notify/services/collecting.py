"""From events to deliveries: each event once for each target, whoever is killed meanwhile.

A target remembers the last event that was considered for it, and moves on in the
transaction that enters the deliveries.  Events cannot overtake that mark: on
PostgreSQL an event takes its id under the lock of the chain, which is held until its
transaction has committed, so ids become visible in order; SQLite has one writer.
"""

from datetime import datetime

from django.db import transaction

from portal.core.models import Delivery, Event, NotificationTarget, OperationState
from portal.lib.live import announce_on_commit
from portal.notify.domain import pace, telling
from portal.notify.selectors import behind, happenings, newest_event

#: Events that are considered in one transaction.
BATCH = 500


def collect(now: datetime) -> None:
    """Enter the deliveries of every new event."""
    for target_id in behind(newest_event()):
        while _collect_some(target_id, now):
            pass


@transaction.atomic
def _collect_some(target_id: int, now: datetime) -> bool:
    """Consider some events for one target; whether there may be more."""
    mine = NotificationTarget.objects.filter(pk=target_id, enabled=True).defer("secret")
    target = mine.first()
    if target is None:
        return False
    events = list(Event.objects.filter(pk__gt=target.seen_event).order_by("pk")[:BATCH])
    if not events:
        return False
    if not mine.filter(seen_event=target.seen_event).update(seen_event=events[-1].pk):
        return False  # somebody else is at it
    told = [
        event
        for event in happenings(events)
        if telling.is_told(event, target=target.pk, what=target.what, cluster=target.cluster)
    ]
    if told:
        Delivery.objects.bulk_create(_entered(target, told, now))
        announce_on_commit("delivery", 0, "entered")
    return len(events) == BATCH


def _entered(
    target: NotificationTarget, told: list[telling.Happening], now: datetime
) -> list[Delivery]:
    mine = Delivery.objects.filter(target=target)
    lately = mine.filter(tried_at__gt=now - pace.BURST_WINDOW).exclude(event=0)
    sent_lately = lately.values("message").distinct().count()
    waiting = mine.filter(message="", state=OperationState.REQUESTED, due_at__gt=now)
    gathering = waiting.order_by("due_at").values_list("due_at", flat=True).first()
    urgent = {event.pk: telling.needs_person(event.kind) for event in told}
    return [
        Delivery(
            target=target,
            event=event.pk,
            urgent=urgent[event.pk],
            at=now,
            due_at=pace.first_due(
                urgent[event.pk], sent_lately=sent_lately, gathering=gathering, now=now
            ),
        )
        for event in told
    ]


def forget_old(now: datetime) -> None:
    """Remove from the log what ended long ago; the events themselves stay for ever."""
    Delivery.objects.filter(ended_at__lt=now - pace.KEPT).delete()
