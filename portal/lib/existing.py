"""Commands about a portal that is there already, given where there is none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: They change or read what a portal has; none of them makes one.
COMMANDS = frozenset({"confirm-rebooted", "reset-access", "verify-events"})


def is_missing(argv: Sequence[str], database: dict[str, Any]) -> bool:
    """Whether such a command finds no database file: then no folder and no key is made either."""
    file = database["ENGINE"].endswith("sqlite3")
    return argv[1:2] != [] and argv[1] in COMMANDS and file and not Path(database["NAME"]).exists()
