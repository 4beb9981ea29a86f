#!/usr/bin/env python3
"""The command line of the portal; see README for the commands that matter."""

import errno
import logging
import os
import sys

#: What a person can mend: rights, space, and paths; any other error is one of the program.
_MENDABLE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT,
    errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR,
}  # fmt: skip


def main() -> None:
    """Run one command; what a person can mend is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    if sys.argv[1:2] == ["demo"]:  # the settings make keys in the data folder as they are read
        here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - any Python reads this
        os.environ.setdefault("HOLDFAST_VAR", os.path.join(here, "demo"))  # noqa: PTH118 - as above
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415 - may be missing
        from django.db import DatabaseError, DataError, IntegrityError  # noqa: PLC0415 - as above
    except ImportError:
        sys.exit(
            "This Python lacks the portal's packages: use .venv/bin/python manage.py, "
            "which 'make run' sets up."
        )
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # one sentence follows instead
    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt as stopped:
        sys.stderr.write(f"\n{stopped}\n" if stopped.args else "\nInterrupted.\n")
        sys.exit(130)
    except (DatabaseError, OSError) as error:
        if "--traceback" in sys.argv or isinstance(error, (IntegrityError, DataError)):
            raise
        sys.exit(_sentence(error))


def _sentence(error: Exception) -> str:
    """Return what to tell a person; raise the error again when it is one of the program."""
    if isinstance(error, OSError):
        if error.errno not in _MENDABLE:
            raise error
        what = error.filename or "A file"
        return f"{what} cannot be used ({error.strerror}): mend that, or set HOLDFAST_VAR anew."
    from portal.cli import checks  # noqa: PLC0415 - needs the settings

    try:
        checks.database()
    except SystemExit as known:  # the reason behind a pool that only waited in vain
        return str(known)
    return str(checks.trouble(error))


if __name__ == "__main__":
    main()
