"""Reading the environment: what cannot be used ends the process with one sentence.

Every process reads the settings (``manage.py``, uvicorn, celery).  What is raised here
is therefore a ``SystemExit``: Python prints the sentence and ends with status 1 in all
of them.  Nothing here asks the network or needs Django; ``portal.cli.checks`` does.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import environ

T = TypeVar("T")
Address = tuple[str, int]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
ROLES = ("viewer", "operator", "admin")
_FLAGS = {"1": True, "true": True, "yes": True, "on": True}
_FLAGS |= {"0": False, "false": False, "no": False, "off": False}
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_PATTERN = re.compile(r"\*|\.?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_LINE = re.compile(r"(?:export )?\w+=.*|#.*|", re.ASCII)
#: These mean something in an address, such as that of the socket in the folder.
_SPECIAL = re.compile(r"[%?#]")


class CannotStart(SystemExit):
    """Why a process cannot do its work, and what to do, in one sentence."""


def given(name: str) -> str:
    """Return the text of a setting, or of the file that ``<name>_FILE`` names; "" is not given."""
    try:
        return str(environ.FileAwareEnv.ENVIRON.get(name, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(
            f"{name}_FILE names a file that cannot be read ({reason(error)}): correct {name}_FILE."
        ) from None


def setting(name: str, parse: Callable[[str], T], default: T, *, secret: bool = False) -> T:
    """Return what ``parse`` makes of a setting; its ``ValueError`` says what to write instead."""
    text = given(name)
    try:
        return parse(text) if text else default
    except ValueError as error:
        shown = name if secret or "@" in text else f"{name}={_shown(text)}"
        raise CannotStart(f"{shown} cannot be used: {error}.") from None


def _shown(text: str) -> str:
    short = text if len(text) <= 80 else f"{text[:80]}…"
    return shlex.quote(short) if short.isprintable() else repr(short)


def reason(error: Exception) -> str:
    """Return the words of an error without its number and the name of its file."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (isinstance(error, OSError) and error.strerror) or str(error)


@contextmanager
def usable(name: str, what: str) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a sentence about ``what``, which ``name`` sets."""
    try:
        yield
    except OSError as error:
        raise CannotStart(
            f"{what} cannot be used ({reason(error).lower()}): "
            f"set {name} to one that this user can read and write."
        ) from None


def read_file(path: Path) -> None:
    """Add the lines of an environment file to the environment, where they are not set yet."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path} cannot be read ({reason(error)}): correct the file.") from None
    for number, line in enumerate(lines, 1):
        if not _LINE.fullmatch(line):
            # The line itself may hold a password.
            raise CannotStart(f"{path}, line {number}, must be NAME=value or # and a remark.")
    environ.FileAwareEnv.read_env(path)


def folder(text: str) -> Path:
    """Read the path of the data folder."""
    if _SPECIAL.search(text) or not text.isprintable():
        raise ValueError("the path of the data folder may hold no %, ?, # or control character")
    return Path(text).resolve()


def file_in_a_folder(text: str) -> Path:
    """Read the path of a file, which may be missing; a mistyped folder is never made."""
    path = Path(text).resolve()
    if path.is_dir():
        raise ValueError("it is a folder, and must be a file")
    if not path.parent.is_dir():
        raise ValueError("its folder does not exist: correct the path, or make the folder")
    return path


def flag(text: str) -> bool:
    """Read yes or no."""
    if text.lower() not in _FLAGS:
        raise ValueError("say yes or no")
    return _FLAGS[text.lower()]


def level(text: str) -> str:
    """Read the least level of what is logged."""
    if text.upper() not in LEVELS:
        raise ValueError(f"say one of {', '.join(LEVELS)}")
    return text.upper()


def engine(text: str) -> str:
    """Read the name of an engine, which becomes part of the names of queues and units."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", text):
        raise ValueError("an engine's name has at most 60 letters, digits, dots, dashes and _")
    return text


def base_url(text: str) -> str:
    """Read the address of the portal; return it as browsers write it in ``Origin``."""
    parts = _parts(text)
    if parts.scheme not in ("http", "https"):
        raise ValueError("it must begin with http:// or https://")
    _need_host(parts)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("end it after host and port: the portal cannot live under a path")
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = f":{parts.port}" if parts.port not in (None, usual) else ""
    return f"{parts.scheme}://{place(str(parts.hostname))}{port}"


def listen(text: str) -> Address:
    """Read HOST:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port:
        raise ValueError("write HOST:PORT, such as 127.0.0.1:8443")
    if not _HOST.fullmatch(host):
        raise ValueError("write a host name or an address; an IPv6 address goes in brackets")
    return host.strip("[]"), _port(port)


def listen_by_default(url: str) -> Address:
    """Return where to listen: at the address itself, but behind a proxy if that is HTTPS."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return "127.0.0.1", 8443
    return parts.hostname or "127.0.0.1", parts.port or 80


def hosts(text: str) -> list[str]:
    """Read the host names, separated by commas, that a browser may ask for."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError("name at least one host, such as holdfast.example")
    for name in names:
        if not _PATTERN.fullmatch(name):
            raise ValueError(f"{_shown(name)} is no host name: write it without http:// and port")
    return names


def hosts_by_default(url: str) -> list[str]:
    """Return the host of the portal's address, and this machine's own names."""
    own = place(urlsplit(url).hostname or "")
    return list(dict.fromkeys([own, "127.0.0.1", "localhost", "[::1]"]))


def issuer(text: str) -> str:
    """Read the address of an OpenID provider; only this machine may speak without TLS."""
    parts = _parts(text)
    near = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and near):
        raise ValueError("it must begin with https://: keys and names travel over it")
    _need_host(parts)
    if parts.query or parts.fragment:
        raise ValueError("write the issuer's address, without ? and #")
    return text.removesuffix("/.well-known/openid-configuration").rstrip("/")


def roles(text: str) -> dict[str, str]:
    """Read ``GROUP=ROLE; GROUP=ROLE``; the group ``*`` is everybody."""
    found = {}
    for item in filter(None, (part.strip() for part in text.split(";"))):
        group, _, role = item.rpartition("=")
        if not group.strip() or role.strip() not in ROLES:
            raise ValueError(
                f"write GROUP=ROLE; GROUP=ROLE with the roles {', '.join(ROLES)}; "
                "the group * is everybody"
            )
        found[group.strip()] = role.strip()
    return found


def place(host: str) -> str:
    """Return ``host`` as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def redis_url(text: str) -> str:
    """Read where Redis is."""
    parts = _parts(text)
    if parts.scheme == "unix":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError("write unix:/// and the whole path of the socket")
    elif parts.scheme in ("redis", "rediss"):
        _need_host(parts)
    else:
        raise ValueError("it must begin with redis://, rediss:// or unix:///")
    return text


def mail_server(text: str) -> dict[str, Any]:
    """Read where mails are handed in; return the arguments of Django's SMTP backend."""
    parts = _parts(text)
    usual = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
    if parts.scheme not in usual:
        raise ValueError("it must begin with smtp://, smtp+tls:// (STARTTLS) or smtps://")
    _need_host(parts)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("end it after host and port: smtp+tls://USER:PASSWORD@HOST:587")
    return {
        "host": parts.hostname,
        "port": parts.port or usual[parts.scheme],
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_tls": parts.scheme == "smtp+tls",
        "use_ssl": parts.scheme == "smtps",
    }


def mail_address(text: str) -> str:
    """Read the address that mails come from."""
    if not re.fullmatch(r"[^@\s<>,;:\"]{1,64}@(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Za-z:.]+\])", text):
        raise ValueError("write one plain address, such as holdfast@example.org")
    return text


def mail_address_by_default(url: str) -> str:
    """Return a sender of mails at the portal's own host."""
    host = urlsplit(url).hostname or "localhost"
    literal = f"IPv6:{host}" if ":" in host else host
    is_number = ":" in host or host.replace(".", "").isdigit()
    return f"holdfast@[{literal}]" if is_number else f"holdfast@{host}"


def database(text: str) -> dict[str, Any]:
    """Read the address of the database: PostgreSQL, or a file for SQLite."""
    if text.startswith("sqlite:"):
        config: dict[str, Any] = environ.Env.db_url_config(text)
        if not text.startswith("sqlite:///") or config["NAME"] in ("", ":memory:"):
            raise ValueError("name a file, such as sqlite:////var/lib/holdfast/portal.sqlite3")
        return config
    if not text.startswith(("postgres://", "postgresql://")):
        raise ValueError("it must begin with postgres:// or sqlite:///")
    _parts(text)
    config = environ.Env.db_url_config(text)
    if not config["NAME"]:
        raise ValueError("it ends with the name of the database: postgres://USER@HOST/NAME")
    return config


def _parts(text: str) -> SplitResult:
    """Split an address; the error never repeats it, as it may hold a password."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("an IPv6 address goes in brackets, [ and ]") from None
    try:
        if parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError("the port must be a number from 1 to 65535") from None
    return parts


def _need_host(parts: SplitResult) -> None:
    host = re.sub(r":\d*$", "", parts.netloc.rpartition("@")[2])
    if not _HOST.fullmatch(host):
        raise ValueError("it names a host that cannot be one" if host else "it names no host")
    if "@" in parts.netloc and parts.scheme in ("http", "https"):
        raise ValueError("leave out the user and the password")


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError("the port must be a number from 1 to 65535")
    return int(text)
