"""The id port: unguessable or unique names, drawn from one replaceable source."""

import secrets
import uuid
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string


class Ids(Protocol):
    """A source of fresh names."""

    def uuid(self) -> str:
        """Return a new lower-case UUID."""

    def token(self) -> str:
        """Return 8 fresh hexadecimal digits, for names that only must differ."""


class RandomIds:
    """Fresh names from the operating system."""

    def uuid(self) -> str:
        return str(uuid.uuid4())

    def token(self) -> str:
        return secrets.token_hex(4)


class _Port:
    ids: Ids | None = None


def source() -> Ids:
    """Return the installed id source."""
    if _Port.ids is None:
        _Port.ids = import_string(settings.HOLDFAST_IDS)()
    return _Port.ids


def install(ids: Ids | None) -> None:
    """Use ``ids`` from now on (None: the one of the settings)."""
    _Port.ids = ids
