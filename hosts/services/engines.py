"""Which engine this process belongs to, and whether it may still act."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from hosts.models import Engine, EngineLease
from portal.lib import node

#: How silent an engine may be before it counts as dead.
SILENT = timedelta(seconds=10)
#: The lease of the one engine that sweeps.
BEAT = "beat"


@dataclass(frozen=True, slots=True)
class Tag:
    """An engine's name and the epoch in which this process works."""

    name: str
    epoch: int


@transaction.atomic
def join(name: str, now: datetime) -> Tag:
    """Start a new epoch for ``name``: everything claimed in an older one is void."""
    engine, _ = Engine.objects.get_or_create(
        name=name, defaults={"started_at": now, "beat_at": now}
    )
    Engine.objects.filter(pk=engine.pk).update(epoch=F("epoch") + 1, started_at=now, beat_at=now)
    engine.refresh_from_db()
    return Tag(engine.name, engine.epoch)


def beat(tag: Tag, now: datetime) -> bool:
    """Say that the engine lives; False when a newer epoch has taken over."""
    return bool(Engine.objects.filter(name=tag.name, epoch=tag.epoch).update(beat_at=now))


def me() -> Tag:
    """Return this process's engine: the epoch that ``manage.py up`` handed down."""
    this = node.this()
    if this.epoch is not None:
        return Tag(this.name, this.epoch)
    row = Engine.objects.filter(name=this.name).first()
    return Tag(this.name, row.epoch if row else 0)


def holder(name: str, process: int, machine: str) -> str:
    """Return the name under which a process of an engine holds leases."""
    return f"{name}:{process}:{machine}"[:120]


def is_held_by(lease: EngineLease, name: str) -> bool:
    """Whether a process of that engine holds the lease."""
    return lease.holder.startswith(f"{name}:")


def is_current(tag: Tag) -> bool:
    """Whether ``tag`` is its engine's newest epoch: asked just before each power command."""
    return Engine.objects.filter(name=tag.name, epoch=tag.epoch).exists()
