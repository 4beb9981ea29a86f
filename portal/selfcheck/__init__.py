"""Is everything as it should be?  Rows, files and settings are read; no hardware is asked."""

from datetime import datetime

from django.db import DatabaseError

from portal.selfcheck import machine, rows
from portal.selfcheck.words import Check, bad


def checks(now: datetime, request_host: str) -> list[Check]:
    """Return every check; one that cannot be made is bad, and hides no other."""
    found: list[Check] = []
    for name, ask in (machine.CHECKS | rows.CHECKS).items():
        try:
            found.append(ask(now))
        except DatabaseError as error:
            text = f"the database gives no answer ({type(error).__name__})"
            found.append(bad(name, text, "Start or repair the database, or correct DATABASE_URL."))
    found.append(machine.base_url(request_host))
    return found


__all__ = ["Check", "checks"]
