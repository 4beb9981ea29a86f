"""A real PostgreSQL for tests: private, on a unix socket, gone afterwards.

``postgres`` is a fresh database for one test, ``on_postgres`` the same as a second
Django connection, ``postgres_default`` the same in the place of the default one.  A
machine without PostgreSQL fails these tests; they are never skipped.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections
from psycopg import sql
from pytest_django import DjangoDbBlocker

from portal.bench.postgres import Server, running_server

_TEMPLATE = "holdfast_template"
#: What a test commits need not survive a power cut.
_HASTE = ("fsync=off", "full_page_writes=off")
_numbers = itertools.count(1)


@contextmanager
def connected(alias: str, database: dict[str, Any]) -> Iterator[str]:
    """Let ``alias`` mean ``database`` for this process; put back what was there before."""
    before = connections.settings.get(alias)
    kept = connections[alias] if before is not None else None
    defaults = connections.configure_settings({"default": database})
    connections.settings[alias] = defaults["default"]
    if kept is not None:
        del connections[alias]
    ContentType.objects.clear_cache()  # it remembers ids by alias
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        ContentType.objects.clear_cache()
        if before is None:
            del connections.settings[alias]
        else:
            connections.settings[alias] = before
            connections[alias] = kept  # type: ignore[assignment]  # kept is set whenever before is


@pytest.fixture(scope="session")
def postgres_server(django_db_blocker: DjangoDbBlocker) -> Iterator[Server]:
    """A server whose template database has all migrations applied."""
    with running_server(_HASTE) as server:
        server.create(_TEMPLATE)
        template = server.database(_TEMPLATE)
        with django_db_blocker.unblock(), connected("template", template) as alias:
            call_command("migrate", database=alias, verbosity=0, interactive=False)
        yield server


@pytest.fixture
def postgres(postgres_server: Server) -> Iterator[dict[str, Any]]:
    """Django settings of a fresh, migrated database that this test may write and commit to."""
    name = f"holdfast_{next(_numbers)}"
    copy, drop = sql.SQL("CREATE DATABASE {} TEMPLATE {}"), sql.SQL("DROP DATABASE {} WITH (FORCE)")
    postgres_server.run(copy.format(sql.Identifier(name), sql.Identifier(_TEMPLATE)))
    yield postgres_server.database(name)
    postgres_server.run(drop.format(sql.Identifier(name)))


@pytest.fixture
def on_postgres(postgres: dict[str, Any], django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The alias of a second Django connection: ``Run.objects.using(on_postgres)``."""
    with django_db_blocker.unblock(), connected("postgres", postgres) as alias:
        yield alias


@pytest.fixture
def postgres_default(postgres: dict[str, Any], django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """PostgreSQL as the default database, for services; do not also mark with ``django_db``."""
    with django_db_blocker.unblock(), connected("default", postgres) as alias:
        yield alias
