"""Which machine this portal itself runs on: nobody cuts the branch on which he sits."""

import os
from functools import cache
from pathlib import Path

_DMI = Path("/sys/class/dmi/id/product_uuid")  # readable by root only


class _Installed:
    uuid: str | None = None


def install(uuid: str | None) -> None:
    """Take this for the portal's machine; None: ask the machine again."""
    _Installed.uuid = uuid


def uuid() -> str:
    """Return the machine's UUID in lower case, or the empty text where it cannot be known.

    ``HOLDFAST_MACHINE_UUID`` tells it to a portal that may not read it.
    """
    if _Installed.uuid is not None:
        return _Installed.uuid
    return os.environ.get("HOLDFAST_MACHINE_UUID", "").strip().lower() or _told_by_firmware()


@cache
def _told_by_firmware() -> str:
    try:
        return _DMI.read_text(encoding="ascii").strip().lower()
    except (OSError, ValueError):
        return ""
