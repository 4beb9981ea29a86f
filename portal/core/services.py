"""Writing down what happened, and the few values that all engines share."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from portal.core.models import Event, Setting
from portal.lib import ids
from portal.lib.live import announce_on_commit

_CHAIN_LOCK = 0x686F6C64  # any number; it names the lock of the event chain


def record_event(
    kind: str,
    text: str,
    *,
    now: datetime,
    evidence: dict[str, Any] | None = None,
    rule: str = "",
    actor: str = "",
    **subjects: int,
) -> Event:
    """Append one event to the sealed chain; call it inside the change's transaction.

    ``subjects`` are the ids ``cluster``, ``host``, ``vm`` and ``incident``.
    """
    event = Event(
        at=now.astimezone(UTC),
        kind=kind,
        text=text,
        # As the database gives it back: what is sealed must read the same for ever.
        evidence=json.loads(json.dumps(evidence or {}, default=str)),
        rule=rule,
        actor=actor,
        **subjects,
    )
    with transaction.atomic():
        _lock_chain()
        before = Event.objects.order_by("-pk").values_list("seal", flat=True).first() or ""
        event.seal = seal_of(event, before)
        event.save(force_insert=True)
    announce_on_commit("event", event.pk, kind)
    return event


def seal_of(event: Event, before: str) -> str:
    """Return the seal of ``event`` after an event sealed ``before``."""
    content = [
        before,
        event.at.isoformat(),
        event.kind,
        event.text,
        event.evidence,
        event.rule,
        event.actor,
        [event.cluster, event.host, event.vm, event.incident],
    ]
    whole = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(whole.encode()).hexdigest()


def broken_seal(last: int | None = None) -> int | None:
    """Return the id of the first event whose seal does not fit, or None.

    ``last``: only so many of the newest are read, and the one before is believed.
    """
    before = ""
    rows: Iterable[Event] = Event.objects.order_by("pk").iterator()
    if last is not None:
        newest = list(Event.objects.order_by("-pk")[: last + 1])[::-1]
        if len(newest) > last:
            before = newest.pop(0).seal
        rows = newest
    for event in rows:
        if event.seal != seal_of(event, before):
            return event.pk
        before = event.seal
    return None


def _lock_chain() -> None:
    """Take turns: SQLite's IMMEDIATE transactions do already, PostgreSQL needs a lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHAIN_LOCK])


def installation_id() -> str:
    """Return the name of this database's life; a restored backup gets a new one."""
    setting, _ = Setting.objects.get_or_create(
        name="installation", defaults={"value": ids.source().uuid()}
    )
    return str(setting.value)
