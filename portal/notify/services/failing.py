"""Targets that do not take what they are sent: rest, alert, and the end of both."""

from datetime import datetime

from fencing.domain.alerts import AlertKind
from fencing.services.incidents import clear_alert, raise_alert
from portal.core.models import Delivery, NotificationTarget, OperationState
from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from portal.notify.domain import pace, telling


def take_turn(target_id: int) -> NotificationTarget | None:
    """Return the target, locked until the transaction ends: always before its deliveries."""
    rows = NotificationTarget.objects.select_for_update(no_key=True).defer("secret")
    return rows.filter(pk=target_id).first()


def target_took_it(target_id: int, now: datetime) -> None:
    """A target took a message: what waits for it need not wait on."""
    rows = NotificationTarget.objects.filter(pk=target_id)
    failed = rows.filter(failures__gt=0).exists()
    rows.update(failures=0, resting_until=None, tried_at=now, delivered_at=now)
    rows.update(error_text="", error_cure="")
    if failed:
        waiting = Delivery.objects.filter(target=target_id, state=OperationState.WAITING)
        waiting.update(due_at=now)
        refresh_alert(now)
    announce_on_commit("notification-target", target_id, "delivered")


def target_failed(
    target_id: int, text: str, cure: str, now: datetime, *, for_good: bool = False
) -> None:
    """A target did not take a message: leave it alone for a while, and tell a person in time.

    The event is recorded when the target begins to fail, not each time; ``for_good``: a
    message was given up, which is told however few failures there were.
    """
    row = take_turn(target_id)
    if row is None:
        return
    began = is_failing(row)
    least = pace.FAILING_AFTER if for_good else 0
    row.failures = max(row.failures + 1, least)
    NotificationTarget.objects.filter(pk=target_id).update(
        failures=row.failures,
        resting_until=now + pace.rest_after(row.failures),
        tried_at=now,
        error_text=text,
        error_cure=cure,
    )
    if is_failing(row) and not began:
        record_event(
            telling.FAILING,
            f"notifications do not reach {row.name}: {text}",
            now=now,
            evidence={"target": row.pk, "cure": cure},
        )
    refresh_alert(now)
    announce_on_commit("notification-target", target_id, "failed")


def is_failing(target: NotificationTarget) -> bool:
    """Whether a person is to know that this target is not reached."""
    return target.failures >= pace.FAILING_AFTER


def refresh_alert(now: datetime) -> None:
    """Open, renew or close the one alert that names every failing target."""
    failing = NotificationTarget.objects.filter(enabled=True, failures__gte=pace.FAILING_AFTER)
    rows = failing.order_by("name").values_list("name", "error_text")
    told = "; ".join(f"{name}: {text}" for name, text in rows)
    if told:
        text = f"notifications do not reach {told}"
        raise_alert(AlertKind.NOTIFICATION_FAILING, 0, 0, text, now)
    else:
        clear_alert(AlertKind.NOTIFICATION_FAILING, 0, 0, now)
