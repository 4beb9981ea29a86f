"""A second host that may hold a run's copy while it migrates: named first, cleared by evidence."""

from datetime import datetime

from django.db import transaction

from hosts.models import Host
from vms.domain.states import RunState
from vms.models import Run


@transaction.atomic
def begin_moving(run_id: int, target: Host, now: datetime) -> bool:
    """From now on ``target`` is a possible holder as well; False when the run is not at rest."""
    waiting = Run.objects.filter(
        pk=run_id,
        ended_at__isnull=True,
        state=RunState.RUNNING,
        outstanding=False,
        migrating_to__isnull=True,
        contender__isnull=True,
    ).exclude(host=target)
    return bool(waiting.update(migrating_to=target, migrating_since=now))


def retarget(run_id: int, target: Host, now: datetime) -> bool:
    """Its copy runs on ``target``, and not where it was to go."""
    moving = Run.objects.filter(pk=run_id, ended_at__isnull=True, migrating_to__isnull=False)
    others = moving.exclude(migrating_to=target).exclude(host=target)
    return bool(others.update(migrating_to=target, migrating_since=now))


def stop_moving(run_id: int, target_id: int) -> bool:
    """That target holds nothing: the run stays with its host."""
    moving = Run.objects.filter(pk=run_id, ended_at__isnull=True, migrating_to=target_id)
    return bool(moving.update(migrating_to=None, migrating_since=None))
