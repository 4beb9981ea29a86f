"""Claiming a resource's due question, and recording its answer: compare-and-set on the row.

A claim is a lease of one question, with the engine's epoch.  It is lost by time;
an answer is written only over the version that its claim made, so whoever was
frozen, doubled or killed in between changes nothing.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, QuerySet

from fencing.models import HaResource, HaScope
from fencing.services import ha_history
from hosts.models import ClusterMode, Engine
from hosts.services.engines import Tag
from hosts.services.work import SLACK
from portal.lib.ha.advancing import advance
from portal.lib.ha.evidence import Answer, Evidence, unknown
from portal.lib.ha.provider import Capability
from portal.lib.ha.record import Finding, Record, Step, Work, begun, deadline_of
from portal.lib.ha.states import HaState
from portal.lib.ha.thresholds import Thresholds, layered

#: What is done to a resource, not only asked: only where automation is armed.
ACTS = (Work.RECOVERY, Work.FENCE)
_COLUMNS = (
    "state", "since", "work", "due_at", "attempt", "health", "failures", "rounds", "idle",
    "recoveries", "fences", "stuck", "declared",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to ask one question about a resource."""

    row: HaResource
    work: Work
    record: Record
    limits: Thresholds
    version: int
    asked_at: datetime

    @property
    def deadline(self) -> float:
        """Return how many seconds an answer may take."""
        return deadline_of(self.work, self.limits)


def record_of(row: HaResource, can: frozenset[Capability] = frozenset()) -> Record:
    """Return the frozen view of a row."""
    return Record(
        state=HaState(row.state),
        since=row.since,
        can=can,
        work=Work(row.work) if row.work else None,
        due_at=row.due_at,
        attempt=row.attempt,
        health=Answer(row.health),
        failures=row.failures,
        rounds=row.rounds,
        idle=row.idle,
        recoveries=row.recoveries,
        fences=row.fences,
        stuck=row.stuck,
        declared=row.declared,
    )


def columns_of(record: Record) -> dict[str, Any]:
    """Return a record as the columns of its row."""
    found = {name: getattr(record, name) for name in _COLUMNS}
    return found | {"work": record.work or ""}


def limits_of(row: HaResource) -> Thresholds:
    """Return the thresholds in force for a resource."""
    scopes = HaScope.objects.filter(cluster__in=(0, row.cluster_id or 0)).order_by("cluster")
    return layered(*[scope.thresholds for scope in scopes], row.thresholds)


def due(work: Work, now: datetime) -> QuerySet[HaResource]:
    """Return the resources that wait for this question, the longest first."""
    rows = HaResource.objects.filter(
        work=work, due_at__lte=now, host__isnull=True, cluster__removed_at__isnull=True
    )
    if work in ACTS:
        rows = rows.filter(cluster__mode=ClusterMode.ARMED)
    return rows.exclude(state=HaState.DISABLED).order_by("due_at", "pk")


@transaction.atomic
def claim(
    pk: int, work: Work, *, can: frozenset[Capability], tag: Tag, now: datetime
) -> Claim | None:
    """Return the right to ask ``work`` about a resource now, or None.

    None: not due, not this question any more, somebody else's, or first to be asked
    something else because an act was left half done or its evidence is too old.
    """
    row = due(work, now).select_related("cluster", "vm").filter(pk=pk).first()
    if row is None:
        return None
    limits, before = limits_of(row), record_of(row, can)
    if row.acting and work in ACTS:
        text = f"{row.owner} was lost while it was at work: nobody knows how far it came"
        _write(row, before, advance(before, _lost(work, before, text, now), limits, now), None, now)
        return None
    record = begun(before, now)
    if record.work is not work:
        _write(row, before, Step(replace(before, work=record.work, due_at=now)), None, now)
        return None
    until = now + timedelta(seconds=deadline_of(work, limits)) + SLACK
    changes = columns_of(record) | {"due_at": until, "acting": True}
    mine = HaResource.objects.filter(pk=pk, version=row.version)
    current = Engine.objects.filter(name=tag.name, epoch=tag.epoch)
    won = mine.filter(Exists(current)).update(
        **changes, version=F("version") + 1, owner=tag.name, epoch=tag.epoch
    )
    return Claim(row, work, record, limits, row.version + 1, now) if won else None


def _lost(work: Work, record: Record, text: str, now: datetime) -> Finding:
    return Finding(work, record.attempt, unknown("portal", text, now))


def is_mine(claimed: Claim, now: datetime) -> bool:
    """Whether the claim still stands and automation may act: asked just before an act."""
    mine = due(claimed.work, now + timedelta(days=1)).filter(
        pk=claimed.row.pk, version=claimed.version, acting=True, due_at__gt=now
    )
    row = mine.values_list("owner", "epoch").first()
    return row is not None and Engine.objects.filter(name=row[0], epoch=row[1]).exists()


@transaction.atomic
def record(claimed: Claim, finding: Finding, now: datetime) -> Step | None:
    """Write what an answer leads to; None (nothing written) when it came too late."""
    step = advance(claimed.record, finding, claimed.limits, now)
    said = finding.evidence
    if finding.eligible is not None and finding.eligible.answer is Answer.NO:
        said = finding.eligible
    row = claimed.row
    row.version = claimed.version
    return step if _write(row, claimed.record, step, said, now) else None


def _write(
    row: HaResource, before: Record, step: Step, said: Evidence | None, now: datetime
) -> bool:
    changes: dict[str, Any] = columns_of(step.record) | {"acting": False}
    if step.why:
        changes["reason"] = step.why
    if said is not None:
        changes["said"] = {
            "answer": said.answer,
            "source": said.source,
            "text": said.text,
            "asked_at": said.asked_at.isoformat(),
        }
    mine = HaResource.objects.filter(pk=row.pk, version=row.version)
    if not mine.update(**changes, version=F("version") + 1):
        return False
    ha_history.tell(row, step.events, before, why=step.why, now=now)
    if step.record.stuck and not before.stuck:
        ha_history.call_for_help(row, step.why, now)
    return True


def release(tag: Tag, now: datetime) -> int:
    """Make due what this engine's dead worker was asking; return how many."""
    lost = HaResource.objects.filter(acting=True, owner=tag.name, epoch__lte=tag.epoch)
    return lost.update(due_at=now, version=F("version") + 1)
