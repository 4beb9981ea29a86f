"""Webhooks: one signed POST to an address that was looked up and judged beforehand.

Nothing of the surroundings counts: no proxy, no redirect, no cookie.  The answer's body
is not read at all; its status says everything.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address

import httpx

from portal.notify.domain import pace
from portal.notify.domain.addresses import checked_url, forbidden
from portal.notify.domain.signing import signature
from portal.notify.services.sending import Undelivered

_REACH = "Check the target's address, and that the receiver runs and can be reached from here."


def post(url: str, secret: str, body: bytes, message: str, at: int) -> int:
    """Send one signed body; return the status of 200 to 299, or raise :class:`Undelivered`."""
    try:
        target = httpx.URL(checked_url(url))
    except (ValueError, httpx.InvalidURL):
        raise Undelivered("the address cannot be used", "Correct the target's address.") from None
    places = _places(target.host, target.port or (443 if target.scheme == "https" else 80))
    headers = {
        "Host": target.netloc.decode("ascii"),
        "Content-Type": "application/json",
        "User-Agent": "Holdfast",
        "X-Holdfast-Delivery": message,
        "X-Holdfast-Signature": signature(secret, body, at),
    }
    try:
        status = asyncio.run(_post(target, places, headers, body))
    except TimeoutError:
        text = f"no answer within {pace.DEADLINE_S:.0f} s"
        raise Undelivered(text, "Let the receiver answer first and work afterwards.") from None
    except (httpx.HTTPError, OSError) as error:
        raise _unreachable(error) from None
    if not 200 <= status < 300:
        raise _bad_status(status)
    return status


def _places(host: str, port: int) -> list[str]:
    """Return the addresses behind ``host``; what is judged here is what is called."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Undelivered("the host of the address cannot be resolved", _REACH) from None
    places = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for place in places:
        why = forbidden(ip_address(place))
        if why:
            text = f"the address leads to {place}, {why}: nothing was sent"
            raise Undelivered(text, "Enter the address of a receiver of your own.")
    return places


async def _post(
    target: httpx.URL, places: Sequence[str], headers: dict[str, str], body: bytes
) -> int:
    """Try one address after the other, all of it within the deadline."""
    async with (
        asyncio.timeout(pace.DEADLINE_S),
        httpx.AsyncClient(
            # The system's own authorities: a firm's own one is there.
            verify=ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=pace.DEADLINE_S,
        ) as client,
    ):
        for place in places[:-1]:
            try:
                return await _post_to(client, target, place, headers, body)
            except httpx.ConnectError:
                continue
        return await _post_to(client, target, places[-1], headers, body)


async def _post_to(
    client: httpx.AsyncClient, target: httpx.URL, place: str, headers: dict[str, str], body: bytes
) -> int:
    # The name stands in Host and in TLS, which checks the certificate against it.
    pinned = target.copy_with(host=place)
    extensions = {"sni_hostname": target.host}
    call = client.stream("POST", pinned, content=body, headers=headers, extensions=extensions)
    async with call as answer:
        return answer.status_code


def _unreachable(error: Exception) -> Undelivered:
    if isinstance(error, httpx.TimeoutException):
        return Undelivered(f"no answer within {pace.DEADLINE_S:.0f} s", _REACH)
    inner = error.__cause__ or error
    while inner.__context__ is not None and not isinstance(inner, ssl.SSLError):
        inner = inner.__context__
    if isinstance(inner, ssl.SSLError):
        cure = "Give the receiver a certificate that this machine trusts for that name."
        return Undelivered("TLS failed: the receiver's certificate is not accepted", cure)
    if isinstance(error, httpx.ConnectError):
        return Undelivered("no connection to the receiver", _REACH)
    return Undelivered("the receiver broke off or did not speak HTTP", _REACH)


def _bad_status(status: int) -> Undelivered:
    text = f"the receiver answered {status}"
    if 300 <= status < 400:
        text += ": redirects are not followed"
        return Undelivered(text, "Enter the address that it redirects to.", status)
    if status in (401, 403):
        return Undelivered(text, "Enter the secret that the receiver expects.", status)
    return Undelivered(text, "Read the receiver's log; it must answer 200 to 299.", status)
