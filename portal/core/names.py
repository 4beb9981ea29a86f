"""Names that people give: told apart by eye, and taken as they are by libvirt and a shell."""

import re
import unicodedata

from rest_framework.serializers import ValidationError

_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]*[A-Za-z0-9_+-])?")
_CURE = "write letters (a-z), digits, and “.”, “_”, “-”, “+” inside; no spaces"


def plain(name: str) -> None:
    """Refuse a host's or VM's name that libvirt, virt-manager or a file name would not take.

    libvirt itself refuses “/” and line ends, virt-manager spaces as well; the rest
    keeps names apart that look alike.
    """
    if not _PLAIN.fullmatch(name):
        raise ValidationError(_CURE)


def fault_of(name: str) -> str:
    """Return why :func:`plain` would refuse a name, or the empty text."""
    if _PLAIN.fullmatch(name):
        return ""
    return f"its name {name[:60]!r} cannot be used here: {_CURE} (virsh domrename)"


def readable(name: str) -> None:
    """Refuse a cluster's name with something in it that nobody sees."""
    if any(unicodedata.category(sign)[0] == "C" for sign in name) or name != " ".join(name.split()):
        raise ValidationError("write visible characters, with single plain spaces between words")
