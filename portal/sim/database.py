"""A private database in memory for one simulation: the real tables, made in a millisecond."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper

#: Apps whose tables a simulation uses; the others stay empty and are not made.
APPS = ("contenttypes", "auth", "portal", "hosts", "vms", "fencing")


class CrashingWrapper(DatabaseWrapper):
    """A connection at whose commits an engine may die: ``at_commit`` is told before and after."""

    at_commit: Callable[[], None] | None = None
    is_lost: Callable[[], bool] = staticmethod(lambda: False)  # whether every query fails

    def changes(self) -> int:
        """Return how many rows were ever written over this connection."""
        return int(self.connection.total_changes)

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor, if the database is there."""
        if self.is_lost():
            raise sqlite3.OperationalError("the database is gone")
        return super().create_cursor(name)

    def _commit(self) -> None:
        self._maybe_die(undo=True)
        super()._commit()  # type: ignore[misc]  # django-stubs do not declare it
        self._maybe_die(undo=False)

    def _maybe_die(self, *, undo: bool) -> None:
        if self.at_commit is None:
            return
        try:
            self.at_commit()
        except BaseException:
            self.run_on_commit = []  # nobody lives to run them
            if undo:
                self._rollback()  # type: ignore[attr-defined]  # as above
            raise


class _Template:
    """The empty tables, made once for each process."""

    connection: CrashingWrapper | None = None


def _open() -> CrashingWrapper:
    settings: dict[str, Any] = dict(connections.settings["default"])
    settings |= {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings |= {"OPTIONS": {"transaction_mode": "IMMEDIATE"}, "CONN_MAX_AGE": None}
    settings |= {"AUTOCOMMIT": True, "ATOMIC_REQUESTS": False, "CONN_HEALTH_CHECKS": False}
    wrapper = CrashingWrapper(settings, "default")
    wrapper.inc_thread_sharing()
    wrapper.connect()
    return wrapper


def _template() -> CrashingWrapper:
    if _Template.connection is None:
        made = _open()
        with made.constraint_checks_disabled(), made.schema_editor() as editor:
            for label in APPS:
                for model in apps.get_app_config(label).get_models():
                    editor.create_model(model)
        _Template.connection = made
    return _Template.connection


def copied(wrapper: CrashingWrapper) -> sqlite3.Connection:
    """Return a backup of a simulation's database."""
    backup = sqlite3.connect(":memory:", check_same_thread=False)
    raw = wrapper.connection
    if not isinstance(raw, sqlite3.Connection):
        raise TypeError("a simulation runs on SQLite")
    raw.backup(backup)
    return backup


def put_back(backup: sqlite3.Connection, wrapper: CrashingWrapper) -> None:
    """Overwrite a simulation's database with a backup."""
    raw = wrapper.connection
    if not isinstance(raw, sqlite3.Connection):
        raise TypeError("a simulation runs on SQLite")
    backup.backup(raw)


@contextmanager
def in_memory() -> Iterator[CrashingWrapper]:
    """Let the default database be an empty one in memory until the block ends."""
    before = connections["default"]
    fresh = _open()
    source, target = _template().connection, fresh.connection
    if not isinstance(source, sqlite3.Connection) or not isinstance(target, sqlite3.Connection):
        raise TypeError("a simulation runs on SQLite")
    source.backup(target)
    connections["default"] = fresh
    try:
        yield fresh
    finally:
        connections["default"] = before
        fresh.connection.close()
