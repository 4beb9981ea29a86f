"""What this machine remembers of the database, outside of it: a restored backup knows less."""

import os
from pathlib import Path
from typing import Protocol

from django.conf import settings


class Store(Protocol):
    """Where the mark is kept; it must outlive the database."""

    def load(self) -> str:
        """Return what was saved last, or the empty text."""

    def save(self, mark: str) -> None:
        """Keep a mark in place of the last one."""


class FileStore:
    """A small file in the data folder, replaced whole."""

    def load(self) -> str:
        """Return the file's text; a file that cannot be read remembers nothing."""
        try:
            return self._path().read_text(encoding="ascii")
        except (OSError, ValueError):
            return ""

    def save(self, mark: str) -> None:
        """Write the file beside and move it into place."""
        path = self._path()
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(mark, encoding="ascii")
        draft.replace(path)

    def _path(self) -> Path:
        return Path(settings.VAR) / f"newest-event-{settings.ENGINE_NAME}"


class MemoryStore:
    """Keeps the mark for as long as this object lives: where one process plays a machine."""

    mark = ""

    def load(self) -> str:
        """Return what was saved last."""
        return self.mark

    def save(self, mark: str) -> None:
        """Keep it."""
        self.mark = mark


class _Installed:
    store: Store | None = None


def install(store: Store | None) -> None:
    """Keep the mark in ``store``; None: in the file again."""
    _Installed.store = store


def store() -> Store:
    """Return where the mark is kept."""
    return _Installed.store or FileStore()
