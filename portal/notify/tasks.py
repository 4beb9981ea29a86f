"""Celery's door to notifications: each task may run twice, late or never."""

from celery import shared_task

from portal.lib import clock
from portal.lib.queue import wake
from portal.notify import operations
from portal.notify.selectors import due_targets
from portal.notify.services.collecting import collect, forget_old
from portal.notify.services.sending import is_waiting
from portal.notify.services.targets import DELIVER


@shared_task(name="notify.sweep", ignore_result=True)
def sweep() -> None:
    """Enter what is new, and wake every target that has something to be sent."""
    now = clock.now()
    collect(now)
    for target_id in due_targets(now):
        wake(DELIVER, target_id)


@shared_task(name="notify.tidy", ignore_result=True)
def tidy() -> None:
    """Remove what is too old from the log of deliveries."""
    forget_old(clock.now())


@shared_task(name=DELIVER, ignore_result=True)
def deliver(target_id: int) -> None:
    """Send one message; the next one queues up again, so that targets take turns."""
    if operations.deliver(target_id) and is_waiting(target_id, clock.now()):
        wake(DELIVER, target_id)
