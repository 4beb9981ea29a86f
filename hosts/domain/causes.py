"""Why a host could not be reached, as far as its error tells, and what to try.  Pure."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from hosts.domain.uri import Endpoint, endpoint


class Cause(StrEnum):
    """The likely cause of a connection that did not come about."""

    NAME = "name"  # it cannot be resolved
    REFUSED = "refused"
    CERTIFICATE = "certificate"
    HOST_KEY = "host_key"
    ACCOUNT = "account"
    TIME_OUT = "time_out"
    UNKNOWN = "unknown"


#: Words of an error, in lower case -> its cause; the first that fits.
_SIGNS: tuple[tuple[Cause, tuple[str, ...]], ...] = (
    (Cause.NAME, ("has no address", "name or service not known")),
    (Cause.REFUSED, ("refuses connections", "connection refused")),
    (Cause.HOST_KEY, ("host key verification",)),
    (Cause.CERTIFICATE, ("certificate", "tls", "x509", "clientcert", "clientkey", "cacert")),
    (Cause.ACCOUNT, ("authentication", "permission denied", "access denied", "publickey")),
    (Cause.TIME_OUT, ("no answer", "does not answer", "within", "timed out", "no connection")),
)


@dataclass(frozen=True, slots=True)
class Advice:
    """A likely cause in words, what to do, and a command to copy."""

    cause: Cause
    text: str
    cure: str
    command: str


def cause_of(error: str) -> Cause:
    """Return the likely cause of a connection error."""
    said = error.lower()
    for cause, signs in _SIGNS:
        if any(sign in said for sign in signs):
            return cause
    return Cause.UNKNOWN


def advice(error: str, uri: str) -> Advice:
    """Return what is likely wrong with the way to ``uri`` (canonical), and what to try."""
    cause = cause_of(error)
    place = endpoint(uri)
    via = uri.partition(":")[0].partition("+")[2]
    text, cure, command = _ADVICE[cause](place, via)
    return Advice(cause, text, cure, command)


_Words = tuple[str, str, str]


def _name(place: Endpoint, via: str) -> _Words:
    cure = "Correct the name, or add it to the DNS or to /etc/hosts of the portal's machine."
    return "its name has no address", cure, f"getent hosts {shlex.quote(place.host)}"


def _refused(place: Endpoint, via: str) -> _Words:
    unit = "ssh" if via == "ssh" else f"libvirtd-{via}.socket"
    cure = f"Start it on the host, or correct the port ({place.port})."
    return "nothing listens there", cure, f"systemctl enable --now {unit}"


def _certificate(place: Endpoint, via: str) -> _Words:
    at = shlex.quote(f"{place.host}:{place.port}")
    cure = (
        "One CA must have signed both sides, and the host's certificate must name the address "
        "in the URI. On both machines virt-pki-validate says what is missing."
    )
    command = f"openssl s_client -connect {at} -CAfile /etc/pki/CA/cacert.pem </dev/null"
    return "its TLS certificate, or the portal's own, is not accepted", cure, command


def _host_key(place: Endpoint, via: str) -> _Words:
    command = f"ssh-keyscan -p {place.port} {shlex.quote(place.host)} >> ~/.ssh/known_hosts"
    cure = "Compare the key with the host's own, then add it as the portal's user."
    return "its ssh host key is not known to the portal's user", cure, command


def _account(place: Endpoint, via: str) -> _Words:
    cure = "Let the account use libvirt on the host (group libvirt, or a polkit rule)."
    if via == "ssh":
        host = shlex.quote(place.host)
        command = f"ssh -p {place.port} {host} virsh -c qemu:///system list --all"
        return "the ssh account is not let in, or may not use libvirt", cure, command
    command = "sudo usermod -aG libvirt HOLDFAST_USER"
    return "libvirt does not let the portal in", cure, command


def _time_out(place: Endpoint, via: str) -> _Words:
    cure = "Check the address, that libvirtd listens there, and the firewall between."
    return "it gives no answer", cure, f"nc -vz -w 3 {shlex.quote(place.host)} {place.port}"


def _unknown(place: Endpoint, via: str) -> _Words:
    cure = "Check the address, that libvirtd listens there, and the firewall between."
    return "libvirt says why", cure, "journalctl -u libvirtd -u virtqemud -n 50"


_ADVICE: dict[Cause, Callable[[Endpoint, str], _Words]] = {
    Cause.NAME: _name,
    Cause.REFUSED: _refused,
    Cause.CERTIFICATE: _certificate,
    Cause.HOST_KEY: _host_key,
    Cause.ACCOUNT: _account,
    Cause.TIME_OUT: _time_out,
    Cause.UNKNOWN: _unknown,
}
