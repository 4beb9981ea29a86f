"""Which URIs the portal may open.

libvirt runs commands that a URI names (``?command=``) as the portal's own user,
so nothing of a person's text reaches libvirt but a host, a port and, for ssh, a
plain user.  Everything else is refused, not cleaned.
"""

import contextlib
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

#: Scheme -> the port that libvirt takes where the URI names none.
DEFAULT_PORTS = {"qemu+tls": 16514, "qemu+tcp": 16509, "qemu+ssh": 22, "test+tcp": 16509}
#: Scheme -> the only path that may follow the host.
PATHS = {"qemu+tls": "/system", "qemu+tcp": "/system", "qemu+ssh": "/system"} | {
    "test+tcp": "/default"
}

_SHAPE = re.compile(r"(?P<scheme>[A-Za-z+]{1,16})://(?P<authority>[^/]*)(?P<path>/.*)?", re.DOTALL)
_AUTHORITY = re.compile(
    r"(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]*\]|[^\[\]:@]*)(?::(?P<port>.*))?", re.DOTALL
)
_TYPED = re.compile(r"(?:(?P<scheme>[^:/]*)://)?(?P<authority>[^/?#]*)")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_HOST_CURE = "URI host: write a host name (letters, digits, '-' inside, '.') or an IP address"


class BadHostUri(ValueError):
    """Not a URI that the portal may open; the text names what is wrong and what to write."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a URI's TCP connection goes."""

    host: str  # no brackets around an IPv6 address
    port: int


@dataclass(frozen=True, slots=True)
class Way:
    """A way to a host, as far as somebody has typed it."""

    scheme: str  # "" where none can be recognised
    user: str  # "" where none is given
    host: str  # no brackets around an IPv6 address
    port: int | None  # None where none is given, or where it is the scheme's own


def parse_uri(text: str, schemes: Collection[str]) -> str:
    """Return the canonical form of ``text``; raise :class:`BadHostUri` unless it may be opened.

    ``schemes`` are the schemes in use here; ``test+tcp`` is one only in the demo.
    Canonical: scheme and host in lower case, an address in its shortest form, the
    port only where it is not the scheme's own.
    """
    # "\u212a".lower() is a plain "k": no look-alike gets as far as lower().
    shape = _SHAPE.fullmatch(text) if text.isascii() else None
    known = sorted(set(schemes) & set(PATHS))
    if shape is None or shape["scheme"].lower() not in known:
        offered = ", ".join(f"{scheme}://HOST{PATHS[scheme]}" for scheme in known)
        raise BadHostUri(f"URI scheme: this one cannot be opened; write {offered}")
    scheme = shape["scheme"].lower()
    if shape["path"] != PATHS[scheme]:
        raise BadHostUri(
            f"URI path: after the host only {PATHS[scheme]} is allowed, "
            "without '?' options and without '#'"
        )
    parts = _AUTHORITY.fullmatch(shape["authority"])
    if parts is None:
        raise BadHostUri("URI host: write HOST or HOST:PORT; an IPv6 address goes in [ ]")
    user = _user(parts["user"], scheme)
    return f"{scheme}://{user}{_host(parts['host'])}{_port(parts['port'], scheme)}{PATHS[scheme]}"


def endpoint(uri: str) -> Endpoint:
    """Return where ``uri`` connects to; :class:`BadHostUri` when that is nowhere on TCP.

    Looser than :func:`parse_uri` about the path, so that the adapter can be tested
    on other drivers; never looser about options.
    """
    shape = _SHAPE.fullmatch(uri)
    parts = _AUTHORITY.fullmatch(shape["authority"]) if shape else None
    if shape is None or parts is None or re.search(r"[?#%\s]", uri):
        raise BadHostUri("URI: it must name a host and carry no options")
    scheme = shape["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise BadHostUri("URI: the scheme does not connect over TCP")
    port = _port(parts["port"], scheme).removeprefix(":")
    return Endpoint(_host(parts["host"]).strip("[]"), int(port or DEFAULT_PORTS[scheme]))


def typed_way(text: str) -> Way:
    """Return what a URI that may be unfinished tells; :class:`BadHostUri` where it names no host.

    The path is not looked at, and a host alone will do: this is for advice, nothing
    is opened by it.
    """
    typed = _TYPED.match(text.strip())
    if typed is None or not typed["authority"]:
        raise BadHostUri("URI host: no host is named")
    parts = _AUTHORITY.fullmatch(typed["authority"]) if text.isascii() else None
    if parts is None:
        raise BadHostUri(f"{_HOST_CURE}; an IPv6 address goes in [ ]")
    scheme = (typed["scheme"] or "").lower()
    scheme = scheme if scheme in DEFAULT_PORTS else ""
    user = _user(parts["user"], scheme or "qemu+ssh").removesuffix("@")
    port = _port(parts["port"], scheme).removeprefix(":")
    return Way(scheme, user, _host(parts["host"]).strip("[]"), int(port) if port else None)


def canonical_host(text: str) -> str:
    """Return a host name or address as it stands in a URI, IPv6 without its brackets.

    Raises :class:`BadHostUri` for anything else, and for what carries a port.
    """
    if not text.isascii():
        raise BadHostUri(_HOST_CURE)
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return _host(f"[{bare}]" if ":" in bare else text).strip("[]")


def _user(user: str | None, scheme: str) -> str:
    if user is None:
        return ""
    if scheme != "qemu+ssh":
        raise BadHostUri(f"URI user: {scheme} takes none; remove what stands before the '@'")
    if not _USER.fullmatch(user):
        raise BadHostUri("URI user: letters, digits, '_' and '-' only, and no password")
    return f"{user}@"


def _host(host: str) -> str:
    """Return a host name or an address that nothing can take for an option or another host.

    One machine has one name here: the root's dot goes, and so does “localhost”,
    which is 127.0.0.1 wherever it is asked for (RFC 6761).
    """
    if host.startswith("["):
        return _ipv6(host[1:-1])
    with contextlib.suppress(ValueError):
        return str(ipaddress.IPv4Address(host))
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return "127.0.0.1"
    labels = name.split(".")
    # "127.1" and "0x7f000001" are numbers to the resolver: a name's last label is not one.
    numeric = re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1])
    if len(name) > 253 or numeric or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadHostUri(_HOST_CURE)
    return name


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise BadHostUri(_HOST_CURE) from None
    if address.scope_id is not None:
        raise BadHostUri("URI host: an address of one link ('%') means nothing to other engines")
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else f"[{address}]"


def _port(port: str | None, scheme: str) -> str:
    if port is None:
        return ""
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise BadHostUri("URI port: write a number from 1 to 65535, or leave ':PORT' out")
    return "" if int(port) == DEFAULT_PORTS.get(scheme) else f":{port}"
