"""What an administrator may have wrong, asked before anything starts: one sentence each."""

import errno
import fcntl
import os
import shutil
import socket
import sqlite3
from pathlib import Path
from typing import IO

import psycopg
import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from portal.lib import secrets
from portal.lib.starting import Address, CannotStart, given, place, usable

#: A socket's path may have 107 characters; names of drafts take some.
_LONGEST = 100
_PATIENCE_S = 5
_ELSEWHERE = "set HOLDFAST_VAR or DATABASE_URL to your portal's (the demo's: HOLDFAST_VAR=demo)"
#: What PostgreSQL calls a missing table and a missing column.
_NO_TABLE = ("42P01", "42703")


def program(name: str, package: str) -> str:
    """Return the path of a program that is needed."""
    found = shutil.which(name)
    if found is None:
        raise CannotStart(
            f"{Path(name).name} is not installed: run 'apt-get install {package}' as root."
        )
    return found


def lock(var: Path) -> IO[bytes]:
    """Prepare the folder and hold its lock; a second ``up`` on it is refused."""
    if len(str(var / "run" / "redis.sock")) > _LONGEST:
        raise CannotStart(
            f"The path of the data folder {var} is too long for a unix socket: "
            "set HOLDFAST_VAR to a shorter one, such as /var/lib/holdfast."
        )
    with usable("HOLDFAST_VAR", f"The data folder {var}"):
        for folder in (var, var / "run", var / "log"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = (var / "run" / "lock").open("wb")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CannotStart(
            f"The portal is already running on the data folder {var}: stop it first (Ctrl-C "
            "there), or set HOLDFAST_VAR to another folder."
        ) from None
    return handle


def surroundings() -> None:
    """Raise what will stop one engine from working: keys, Redis, port, database."""
    try:
        secrets.check(settings.KEY_FILE)
    except secrets.SecretLost as error:
        raise CannotStart(f"The key file cannot be used: {error} (HOLDFAST_KEY_FILE).") from None
    if settings.REDIS_URL == settings.OWN_REDIS:
        program("redis-server", "redis-server")
    else:
        _redis()
    port_is_free(settings.LISTEN)
    database()


def _redis() -> None:
    """Raise when the Redis of HOLDFAST_REDIS gives no answer."""
    options = {"socket_connect_timeout": _PATIENCE_S, "socket_timeout": _PATIENCE_S}
    client = redis.Redis.from_url(settings.REDIS_URL, **options)
    try:
        client.ping()
    except redis.RedisError as error:
        raise CannotStart(
            f"Redis cannot be used ({str(error).rstrip('.')}): start it, or correct HOLDFAST_REDIS."
        ) from None
    finally:
        client.close()


def port_is_free(address: Address) -> None:
    """Raise when the portal cannot listen there."""
    host, port = address
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(_not_there(error, host, port)) from None


def _not_there(error: OSError, host: str, port: int) -> str:
    behind_proxy = settings.HTTPS or given("HOLDFAST_LISTEN")
    name, scheme = ("HOLDFAST_LISTEN", "") if behind_proxy else ("HOLDFAST_BASE_URL", "http://")
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 8443
        return (
            f"The port {port} on {host} is in use: stop what listens there, or choose another "
            f"with {name}={scheme}{place(host)}:{other}."
        )
    if error.errno == errno.EACCES:
        return f"The port {port} on {host} is for root alone: choose one above 1023 in {name}."
    return (
        f"{host} is no address of this machine ({error.strerror}): correct {name}, or say "
        f"where to listen with HOLDFAST_LISTEN=0.0.0.0:{port}."
    )


def database() -> None:
    """Raise why the database cannot be used, without the delay and the noise of a pool."""
    try:
        if connection.vendor == "postgresql":
            params = {**connection.get_connection_params(), "connect_timeout": _PATIENCE_S}
            psycopg.connect(**params).close()
            return
        with transaction.atomic(), connection.cursor() as cursor:  # IMMEDIATE: it may write
            cursor.execute("SELECT count(*) FROM sqlite_master")
    except (DatabaseError, psycopg.Error, sqlite3.Error) as error:
        raise trouble(error) from None


def portal() -> None:
    """Raise when there is no portal's database to work on; opening an absent file would make it."""
    path = Path(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and not path.exists():
        raise CannotStart(f"There is no database {path}: {_ELSEWHERE}.")
    database()


def trouble(error: Exception) -> CannotStart:
    """Return the sentence about what a database said."""
    said = _first_line(error)
    state = getattr(error.__cause__ or error, "sqlstate", None)
    if state in _NO_TABLE or "no such table" in said or "no such column" in said:
        return CannotStart(
            f"This database has no tables, or those of another version ({said}): {_ELSEWHERE}, "
            "or run 'manage.py migrate'."
        )
    if connection.vendor == "postgresql":
        return CannotStart(
            f"The database cannot be used ({said}): start or repair it, or correct DATABASE_URL."
        )
    return _about_file(Path(connection.settings_dict["NAME"]), said)


def _first_line(error: Exception) -> str:
    """Return what matters of an error: psycopg adds questions, and a list of all attempts."""
    lines = [line.strip("- ") for line in str(error).splitlines() if not line.startswith("\t")]
    return (lines[1] if lines[0].startswith("Multiple") and lines[1:] else lines[0]).rstrip(".:")


def _about_file(path: Path, said: str) -> CannotStart:
    name = "DATABASE_URL" if given("DATABASE_URL") else "HOLDFAST_VAR"
    if path.is_dir():
        said, cure = "it is a folder", f"correct {name}"
    elif not path.parent.is_dir():
        said, cure = "its folder does not exist", f"correct {name}, or make the folder"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        said, cure = "it cannot be written", f"correct its owner, or {name}"
    else:
        cure = f"correct {name}, or restore the file from your backup"
    return CannotStart(f"The database {path} cannot be used ({said}): {cure}.")
