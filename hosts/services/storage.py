"""What readings of shared storage change: heartbeats, and the disks that VMs write."""

from collections.abc import Callable
from dataclasses import asdict

from django.db import transaction

from hosts.domain.activity import Reading, after_reading
from hosts.domain.tracks import Track
from hosts.models import DiskActivity, Host, HostStorage
from hosts.selectors import activity_of, track_of


@transaction.atomic
def record_sample(pk: int, fold: Callable[[Track], Track]) -> None:
    """Write one more sample down; two answers are written one after the other."""
    row = HostStorage.objects.select_for_update(of=("self",)).select_related("domain").get(pk=pk)
    changes = asdict(fold(track_of(row)))
    del changes["domain"], changes["name"]
    changes["problem"] = changes["problem"] or ""
    HostStorage.objects.filter(pk=pk).update(**changes)


@transaction.atomic
def record_writes(host_id: int, reading: Reading, *, keep: int, interval_s: float) -> None:
    """Write down when the disks of a host's VMs were last written."""
    Host.objects.select_for_update().get(pk=host_id)
    row = DiskActivity.objects.filter(host_id=host_id).first()
    new = after_reading(activity_of(row), reading, keep=keep, interval_s=interval_s)
    DiskActivity.objects.update_or_create(
        host_id=host_id,
        defaults={
            "asked_at": new.asked_at,
            "written_at": dict(new.written_at),
            "samples": list(new.samples),
            "failed": new.failed,
            "reader": new.reader,
            "tried": list(new.tried),
        },
    )
