"""Secrets at rest: Fernet keys in a file, ciphertext in the database.

The key file is a list, newest first; every value is encrypted with the first
key and can be read with any.  Without the file the secrets are gone, and no
backup of the database can bring them back: that is the point.
"""

import os
import secrets as random
from functools import cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from portal.lib.starting import CannotStart


class SecretLost(ValueError):
    """A stored secret cannot be read with any key of the key file, or the file holds none."""


def _write_private(path: Path, text: str) -> None:
    """Write ``text`` to a new 0600 file, whole or not at all; keep one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        # link, not rename: of two processes that start together one file wins.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def ensure_secret(path: Path) -> str:
    """Return the text of ``path``, made of 50 random bytes on first use."""
    if not path.is_file():
        _write_private(path, random.token_urlsafe(50))
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not text:
        raise CannotStart(
            f"{path} is empty: delete it (a new one is made, and everybody signs in again)."
        )
    return text


def ensure_key_file(path: Path) -> Path:
    """Return ``path``, holding at least one Fernet key."""
    if not path.is_file():
        _write_private(path, Fernet.generate_key().decode() + "\n")
    return path


@cache
def _vault(path: Path, _changed: int) -> MultiFernet:
    try:
        lines = path.read_text(encoding="ascii").split()
        return MultiFernet([Fernet(line.encode()) for line in lines])
    except ValueError:
        raise SecretLost(
            f"{path_hint(path)} does not hold what a key file holds: "
            "restore the key file from your backup"
        ) from None


def _open(path: Path) -> MultiFernet:
    return _vault(path, path.stat().st_mtime_ns)


def check(key_file: Path) -> None:
    """Raise :class:`SecretLost` when the key file cannot be used, ``OSError`` when not read."""
    _open(key_file)


def encrypt(text: str, key_file: Path) -> str:
    """Return ``text`` encrypted with the newest key; the empty text stays empty."""
    return _open(key_file).encrypt(text.encode()).decode() if text else ""


def decrypt(token: str, key_file: Path) -> str:
    """Return the text behind ``token``; raise :class:`SecretLost` when no key fits."""
    if not token:
        return ""
    try:
        return _open(key_file).decrypt(token.encode()).decode()
    except InvalidToken:
        raise SecretLost(
            f"no key in {path_hint(key_file)} opens this secret: restore the key file "
            "from your backup, or enter the secret again"
        ) from None


def rotate(token: str, key_file: Path) -> str:
    """Return ``token`` encrypted anew with the newest key."""
    return _open(key_file).rotate(token.encode()).decode() if token else ""


def path_hint(path: Path) -> str:
    """Name a file without the folders of this machine."""
    return path.name
