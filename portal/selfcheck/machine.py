"""The ground that the portal stands on: database, Redis, files, clock, disk, settings."""

import shutil
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import connection

from portal.lib import clock
from portal.selfcheck.words import Check, bad, ok, warn

#: Free space of the data folder below which it is bad, and below which it is worth a word.
_FULL, _TIGHT = 200 * 2**20, 2**30
#: Seconds by which two clocks may differ: evidence is good for ten.
_SKEW_S = 2.0


def database(now: datetime) -> Check:
    """Whether the database answers, and keeps what it was told through a power cut."""
    if connection.vendor == "postgresql":
        return _postgresql()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        journal = str(cursor.fetchone()[0]).upper()
        cursor.execute("PRAGMA synchronous")
        synchronous = int(cursor.fetchone()[0])
    if journal != "WAL" or synchronous < 2:
        text = f"SQLite with journal {journal} and synchronous {synchronous}"
        return bad("database", text, "Let nobody change its settings: WAL and FULL are needed.")
    return ok("database", "SQLite answers, with WAL and FULL")


def _postgresql() -> Check:
    with connection.cursor() as cursor:
        said = {}
        for name in ("server_version", "fsync", "synchronous_commit"):
            cursor.execute(f"SHOW {name}")  # names of ours
            said[name] = str(cursor.fetchone()[0])
    if said["fsync"] == "off" or said["synchronous_commit"] == "off":
        text = "PostgreSQL runs without fsync or synchronous_commit"
        return bad("database", text, "Switch both on: a recorded proof must survive a power cut.")
    return ok("database", f"PostgreSQL {said['server_version']} answers")


def redis_answers() -> bool:
    """Whether Redis answers within a second."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        client.ping()
    except redis.RedisError:
        return False
    finally:
        client.close()
    return True


def broker(now: datetime) -> Check:
    """Whether wake-ups and pushes get through."""
    if redis_answers():
        return ok("redis", "Redis answers")
    text = "Redis gives no answer: work is late, and open pages are not told"
    return bad("redis", text, "Start it, or correct HOLDFAST_REDIS.")


def key_files(now: datetime) -> Check:
    """Whether anybody else on this machine could read the keys."""
    var = Path(settings.VAR)
    files = [Path(settings.KEY_FILE), var / "secret.key", var / "holdfast.env"]
    others = stat.S_IRWXG | stat.S_IRWXO
    open_to_all = [item for item in files if item.is_file() and item.stat().st_mode & others]
    if open_to_all:
        names = " ".join(item.name for item in open_to_all)
        return bad("key_files", f"others may read {names}", f"chmod 600 {names}")
    return ok("key_files", "only the portal's own user may read the keys")


def clocks(now: datetime) -> Check:
    """Whether this process and the database agree what time it is."""
    ahead = clock.ahead_s()
    if abs(ahead) > _SKEW_S:
        text = f"this machine's clock is {ahead:+.1f} s from the database's"
        return bad("clock", text, "Let both follow the same time server (NTP).")
    return ok("clock", f"this machine and the database agree within {abs(ahead):.1f} s")


def disk(now: datetime) -> Check:
    """Whether there is room for the database and the logs."""
    free = shutil.disk_usage(settings.VAR).free
    text = f"{free / 2**30:.1f} GiB are free in the data folder"
    cure = "Make room on that disk, or move HOLDFAST_VAR to another."
    if free < _FULL:
        return bad("disk", text, cure)
    return warn("disk", text, cure) if free < _TIGHT else ok("disk", text)


def debug(now: datetime) -> Check:
    """Whether error pages tell strangers about the inside."""
    if settings.DEBUG:
        return bad("debug", "DEBUG is on: error pages show the inside", "Unset HOLDFAST_DEBUG.")
    return ok("debug", "DEBUG is off")


def base_url(request_host: str) -> Check:
    """Whether the portal is reached under the address that it writes into links."""
    wanted = urlsplit(settings.BASE_URL).netloc
    if request_host.lower() != wanted.lower():
        text = f"it is reached as {request_host}, and calls itself {wanted}"
        return warn("base_url", text, "Set HOLDFAST_BASE_URL to the address that people use.")
    return ok("base_url", f"it is reached as {wanted}")


CHECKS: dict[str, Callable[[datetime], Check]] = {
    "database": database,
    "redis": broker,
    "clock": clocks,
    "disk": disk,
    "key_files": key_files,
    "debug": debug,
}
