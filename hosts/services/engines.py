"""Which engine this process belongs to, which others live, and whether it may still act."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, F, Q, QuerySet

from hosts.models import Engine, EngineLease
from portal.lib import node
from portal.lib.ha.owners import DEAD, IN_DOUBT, TRIES

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
    Engine.objects.filter(pk=engine.pk).update(
        epoch=F("epoch") + 1, life=F("epoch") + 1, started_at=now, beat_at=now,
        buried=False, deaf_since=None,
    )  # fmt: skip
    engine.refresh_from_db()
    return Tag(engine.name, engine.epoch)


def beat(now: datetime) -> bool:
    """Say that this engine lives; return whether it gets no answers where others do.

    One that was silent for so long that it counted as dead begins a new epoch: what it had
    claimed may be another one's by now.  An older process of the same name changes nothing.
    """
    tag = me()
    mine = Engine.objects.filter(name=tag.name, epoch=tag.epoch)
    if mine.filter(beat_at__gte=now - DEAD, buried=False).update(beat_at=now):
        return mine.filter(deaf_since__isnull=False).exists()
    back = mine.update(epoch=F("epoch") + 1, beat_at=now, buried=False, deaf_since=None)
    if not back and not tag.epoch:
        join(tag.name, now)
    return False


def bury(now: datetime) -> list[Tag]:
    """Void the epochs of the other engines that count as dead; return these, each once.

    Whatever such an engine still holds is refused it from now on, so that its work can
    be taken over before its claims run out.
    """
    dead = Engine.objects.filter(beat_at__lt=now - DEAD, buried=False)
    return [
        Tag(row.name, row.epoch)
        for row in dead.exclude(name=node.this().name).order_by("name")
        if dead.filter(pk=row.pk, epoch=row.epoch).update(epoch=F("epoch") + 1, buried=True)
    ]


def me() -> Tag:
    """Return this process's engine in its epoch of now.

    A process that was started in an older life than the newest keeps that old epoch, in
    which nothing may be done any more.
    """
    this = node.this()
    row = Engine.objects.filter(name=this.name).first()
    newest = row.epoch if row else 0
    if this.epoch is None or (row is not None and row.life == this.epoch):
        return Tag(this.name, newest)
    return Tag(this.name, this.epoch)


def holder(name: str, process: int, machine: str) -> str:
    """Return the name under which a process of an engine holds leases."""
    return f"{name}:{process}:{machine}"[:120]


def is_held_by(lease: EngineLease, name: str) -> bool:
    """Whether a process of that engine holds the lease."""
    return lease.holder.startswith(f"{name}:")


def is_current(tag: Tag) -> bool:
    """Whether ``tag`` is its engine's newest epoch: asked just before each power command."""
    return Engine.objects.filter(name=tag.name, epoch=tag.epoch).exists()


def may_claim(tag: Tag, now: datetime) -> QuerySet[Engine]:
    """Return ``tag``'s row if it may begin a piece of work, else nothing.

    It must be in its newest epoch; and an engine that got no answer where another did
    leaves the work to one that hears, until it has heard a host itself.
    """
    mine = Engine.objects.filter(name=tag.name, epoch=tag.epoch)
    return mine.filter(Q(deaf_since__isnull=True) | ~Exists(_others_that_hear(tag.name, now)))


def _others_that_hear(name: str, now: datetime) -> QuerySet[Engine]:
    live = Engine.objects.filter(beat_at__gte=now - DEAD, deaf_since__isnull=True)
    return live.exclude(name=name)


def is_doubted(now: datetime) -> bool:
    """Whether this engine got no answer where another one did that lives."""
    mine = node.this().name
    doubted = Engine.objects.filter(name=mine, deaf_since__isnull=False)
    return doubted.filter(Exists(_others_that_hear(mine, now))).exists()


def contradicted(names: Iterable[str], now: datetime) -> None:
    """A host has answered where these engines got no answer."""
    Engine.objects.filter(name__in=list(names), deaf_since__isnull=True).update(
        deaf_since=now, tried_at=None
    )


def take_try(now: datetime) -> bool:
    """Whether this engine is in doubt, and it is time to ask whether it hears."""
    due = Q(tried_at__isnull=True) | Q(tried_at__lte=now - TRIES)
    rows = Engine.objects.filter(due, name=node.this().name, deaf_since__isnull=False)
    return bool(rows.update(tried_at=now))


def tried_well(now: datetime) -> None:
    """The host that was asked for a try has answered."""
    mine = Engine.objects.filter(name=node.this().name, deaf_since__lte=now - IN_DOUBT)
    heard(now, regained=mine.exists())


def heard(now: datetime, *, regained: bool) -> None:
    """A host has answered this engine: it is not deaf.

    ``regained``: its network was away until now, so what it asked in vain before is void.
    """
    mine = Engine.objects.filter(name=node.this().name)
    if regained:
        mine.update(deaf_since=None, hears_since=now)
    else:
        mine.filter(deaf_since__isnull=False).update(deaf_since=None)
