"""Editing a row as somebody has read it: compare-and-set on its version."""

from typing import Any

from django.db import models, transaction
from django.db.models import F

from portal.lib.live import announce_on_commit


class Stale(Exception):
    """The row was edited since it was read; nothing was written."""


@transaction.atomic
def edit(row: models.Model, kind: str, changes: dict[str, Any]) -> None:
    """Write ``changes`` over the version that ``row`` was read in, and raise it.

    Only the editable fields have a version: what is observed of a host moves on
    without disturbing whoever edits it.  Raises :class:`Stale`.
    """
    manager = type(row)._default_manager
    version = row.version  # type: ignore[attr-defined]  # every editable table has the column
    won = manager.filter(pk=row.pk, version=version).update(version=F("version") + 1, **changes)
    if not won:
        raise Stale(f"{row} was changed meanwhile")
    row.refresh_from_db()
    announce_on_commit(kind, row.pk, "edited")
