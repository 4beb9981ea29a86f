"""Small database helpers: the encrypted column, rows kept after removal, the database's clock."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.db import connection, models

from portal.lib import secrets

if TYPE_CHECKING:
    _Text = models.TextField[str, str]
else:
    _Text = models.TextField  # generic for the type checker only

Row = TypeVar("Row", bound=models.Model)


class Present(models.Manager[Row]):
    """Rows that nobody has removed (``removed_at`` is empty).

    As a model's first manager it serves lists, look-ups and related sets.  A
    foreign key still leads to a removed row, so history keeps its names.
    """

    def get_queryset(self) -> models.QuerySet[Row]:
        return super().get_queryset().filter(removed_at__isnull=True)


class Everything(models.Manager[Row]):
    """All rows, the removed ones as well: for history, and for UUIDs that come back."""


class SecretField(_Text):
    """Text that is encrypted in the database and clear in Python."""

    def get_prep_value(self, value: Any) -> Any:
        return secrets.encrypt(str(value), _key_file()) if value else ""

    def from_db_value(self, value: str | None, *_: object) -> str:
        return secrets.decrypt(value or "", _key_file())


def _key_file() -> Path:
    return Path(settings.KEY_FILE)


def database_now() -> datetime:
    """Return the database server's time: the one clock that all engines share."""
    if connection.vendor == "sqlite":
        # SQLite has no server: its host's clock is the database's clock.
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment.astimezone(UTC)
