"""A real PostgreSQL for tests: private, on a unix socket, gone afterwards.

``postgres`` is a fresh database for one test, ``on_postgres`` the same as a second
Django connection, ``postgres_default`` the same in the place of the default one.  A
machine without PostgreSQL fails these tests; they are never skipped.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections
from psycopg import sql
from pytest_django import DjangoDbBlocker

from tests.waiting import wait_for

StrPath = str | Path
_USER = "holdfast"
_TEMPLATE = "holdfast_template"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL and the folder of its socket."""

    folder: Path
    user: str

    def database(self, name: str) -> dict[str, Any]:
        """Return Django's settings for the database called ``name``."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": self.user,
            "HOST": str(self.folder),
        }

    def run(self, statement: sql.Composed | LiteralString) -> None:
        """Run one statement of administration, outside any transaction."""
        with psycopg.connect(self._address(), autocommit=True) as connection:
            connection.execute(statement)

    def answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _address(self) -> str:
        return f"host={self.folder} user={self.user} dbname=postgres connect_timeout=2"


def _programs() -> Path:
    """Return the folder of the newest installed PostgreSQL."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found:
        pytest.fail("PostgreSQL is not installed; `make test` installs it", pytrace=False)
    return max(found, key=lambda path: float(path.parent.name))


@contextmanager
def _folder() -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder for the server, and how to run as its owner: PostgreSQL refuses to be root."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir="/tmp"))  # a socket's path is short
    identity: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        identity |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        yield folder, identity
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialise(data: Path, identity: dict[str, Any]) -> None:
    argv: list[StrPath] = [_programs() / "initdb", "-D", data, "-U", _USER, "-A", "trust"]
    argv += ["-E", "UTF8", "--no-locale", "--no-sync"]
    made = subprocess.run(argv, capture_output=True, text=True, check=False, **identity)
    if made.returncode:
        pytest.fail(f"initdb failed: {made.stderr.strip()}", pytrace=False)


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a private server, as an unprivileged user even for root; stop it afterwards."""
    with _folder() as (folder, identity):
        data, log = folder / "data", folder / "log"
        _initialise(data, identity)
        argv: list[StrPath] = [_programs() / "postgres", "-D", data, "-k", folder]
        for setting in ("listen_addresses=", "fsync=off", "full_page_writes=off"):
            argv += ["-c", setting]
        with log.open("wb") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output, **identity)
        server = Server(folder, _USER)
        try:
            wait_for(lambda: server.answers() or process.poll() is not None, 60, "PostgreSQL")
            if process.poll() is not None:
                pytest.fail(f"PostgreSQL ended at once: {log.read_text()}", pytrace=False)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # "fast": does not wait for clients
            process.wait(timeout=30)


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
    with running_server() as server:
        server.run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
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
