"""Where webhooks may go: which addresses are written rightly, and which are never called."""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

LONGEST = 500
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_NAT64 = IPv6Network("64:ff9b::/96")
#: Instance metadata, where it has an address of its own (fd00:ec2::254).
_METADATA = frozenset({IPv6Address("fd00:ec2::254")})


def checked_url(text: str) -> str:
    """Return the URL of a webhook; ``ValueError`` says what to write instead."""
    if len(text) > LONGEST:
        raise ValueError(f"write at most {LONGEST} characters")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("write plain ASCII without spaces; encode the rest with %")
    parts = _parts(text)
    if parts.scheme not in ("http", "https"):
        raise ValueError("it must begin with https:// (or http://)")
    if "@" in parts.netloc:
        raise ValueError("leave out the user and the password: the signature says who calls")
    if parts.fragment or text.endswith("#"):
        raise ValueError("leave out the # and what follows: no server is sent it")
    _check_host(parts.hostname or "")
    return text


def _check_host(host: str) -> None:
    if not host:
        raise ValueError("it names no host")
    address = as_address(host)
    if address is None and not _HOST.fullmatch(host):
        raise ValueError("it names a host that cannot be one")
    if address is not None and forbidden(address):
        raise ValueError(f"{address} is {forbidden(address)}: write the receiver's own address")


def _parts(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("the port must be a number from 1 to 65535, and IPv6 in [ ]") from None
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("the port must be a number from 1 to 65535")
    return parts


def as_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is written as, if it is one."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def forbidden(address: IPv4Address | IPv6Address) -> str:
    """Return why nothing is ever sent to ``address``, or the empty text.

    Loopback and private networks are allowed: receivers live there.  Link-local is
    where clouds keep their machines' credentials, and nobody's receiver.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return forbidden(inner)
    if address.is_link_local or address in _METADATA:
        return "a link-local address, where machines keep their metadata"
    if address.is_multicast or (address.version == 4 and address.is_reserved):
        return "no address of one machine"
    return "no address at all" if address.is_unspecified else ""
