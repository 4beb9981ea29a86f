"""A private PostgreSQL: a folder of its own, a unix socket, no port, gone afterwards."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from portal.bench.rig import RigError, until
from portal.lib.processes import spawn

#: The account that owns every table; the socket's folder is what keeps others out.
OWNER = "holdfast"
_SYSTEM_USER = "postgres"


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL and the folder of its socket."""

    folder: Path

    def database(self, name: str) -> dict[str, Any]:
        """Return Django's settings for the database called ``name``."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": OWNER,
            "HOST": str(self.folder),
        }

    def url(self, name: str) -> str:
        """Return the same as a ``DATABASE_URL``."""
        return f"postgres://{OWNER}@/{self.folder}/{name}"

    def run(self, statement: sql.Composed | LiteralString) -> None:
        """Run one statement of administration, outside any transaction."""
        with psycopg.connect(self._address(), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, name: str) -> None:
        """Make an empty database."""
        self.run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _address(self) -> str:
        return f"host={self.folder} user={OWNER} dbname=postgres connect_timeout=2"


def programs() -> Path:
    """Return the folder of the newest installed PostgreSQL."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found:
        raise RigError("PostgreSQL is not installed: run 'apt-get install postgresql' as root")
    return max(found, key=lambda path: float(path.parent.name))


def _account() -> str | None:
    """Return whom the server runs as: it refuses to be root; None is ourselves."""
    return _SYSTEM_USER if os.geteuid() == 0 else None


@contextmanager
def _folder(account: str | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir="/tmp"))
    if account is not None:
        entry = pwd.getpwnam(account)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialise(data: Path, account: str | None) -> None:
    argv: list[str | Path] = [programs() / "initdb", "-D", data, "-U", OWNER, "-A", "trust"]
    argv += ["-E", "UTF8", "--no-locale", "--no-sync"]
    identity: dict[str, Any] = {"cwd": data.parent}
    if account is not None:
        entry = pwd.getpwnam(account)
        identity |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    made = subprocess.run(argv, capture_output=True, text=True, check=False, **identity)
    if made.returncode:
        raise RigError(f"initdb failed: {made.stderr.strip()}")


@contextmanager
def running_server(settings: Sequence[str] = ()) -> Iterator[Server]:
    """Start a private server, as an unprivileged user even for root; stop it afterwards.

    ``settings`` are further ones, such as ``fsync=off``.
    """
    programs()
    account = _account()
    with _folder(account) as folder:
        data, log = folder / "data", folder / "log"
        _initialise(data, account)
        argv = [str(programs() / "postgres"), "-D", str(data), "-k", str(folder)]
        for setting in ("listen_addresses=", *settings):
            argv += ["-c", setting]
        with log.open("wb") as output:
            process = spawn(argv, cwd=folder, log=output, user=account)
        server = Server(folder)
        try:
            until(lambda: server.answers() or process.poll() is not None, 60, "PostgreSQL")
            if process.poll() is not None:
                raise RigError(f"PostgreSQL ended at once: {log.read_text()}")
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # "fast": does not wait for clients
            process.wait(timeout=30)
