"""What removing a host or a VM would mean: what forbids it, what goes, what stays behind.

Pure.  A row that is removed keeps its history; what is out there stays out
there, and whoever removes it must know of it before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from hosts.domain.states import HostStatus

#: Statuses in which nothing of the portal's runs on a host, as far as anybody can know.
REMOVABLE = frozenset({HostStatus.MAINTENANCE, HostStatus.DOWN, HostStatus.PENDING})


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why it cannot be removed now, and what to do about it."""

    text: str
    cure: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal would do.  ``cleaned`` is tried, and reported, when the host answers."""

    hindrances: tuple[Hindrance, ...] = ()
    stays_behind: tuple[str, ...] = ()
    cleaned: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether nothing forbids it."""
        return not self.hindrances


@dataclass(frozen=True, slots=True)
class Remains:
    """What is known of a host that matters when it goes."""

    name: str
    uri: str
    status: HostStatus
    answers: bool
    marker: str
    vms: tuple[str, ...]  # VMs of the portal that have run there
    accounts: tuple[str, ...]  # of its BMCs
    off_by_word: bool  # proven off by nothing but a person's word


def wrong_status(name: str, status: HostStatus) -> tuple[Hindrance, ...]:
    """Return why a host in this status is not removed."""
    if status in REMOVABLE:
        return ()
    text = f"{name} is {status.replace('_', ' ')}"
    return (Hindrance(text, "Put it into maintenance, and wait until it is empty."),)


def of_host(host: Remains, hindrances: Sequence[Hindrance]) -> Removal:
    """Return what removing a host would do."""
    names = ", ".join(host.vms)
    cleaned, stays = [], []
    if host.answers and host.marker:
        cleaned.append(f"the boot marker, storage pool holdfast-boot-{host.marker}")
    elif host.marker and host.status is not HostStatus.DOWN:
        stays.append(
            f"the boot marker, storage pool holdfast-boot-{host.marker}: a reboot removes it"
        )
    if host.vms and host.answers:
        cleaned.append(f"definitions that carry the portal's mark and do not run ({names})")
    elif host.vms:
        stays.append(f"definitions of {names}, where they are still there: undefine them by hand")
    if host.status is not HostStatus.PENDING:
        stays.append("whatever runs there that is not the portal's, and all disks and their data")
    if host.off_by_word:
        stays.append(
            "copies that run there after all: it is off by a person's word, and nobody looks again"
        )
    elif host.status is HostStatus.DOWN:
        stays.append("its power as it is: nobody switches it on again")
    stays.append(_way_in(host.uri))
    stays += [f"the BMC account {account}: delete it if it was made for this" for account in
              host.accounts]  # fmt: skip
    return Removal(tuple(hindrances), tuple(stays), tuple(cleaned))


def of_vm(
    hosts: Sequence[str], silent: Sequence[str], disks: Sequence[str], found: Sequence[Hindrance]
) -> Removal:
    """Return what removing a VM would do; ``hosts`` answer, ``silent`` ones do not."""
    cleaned = [f"its definition on {name}, if it carries the portal's mark" for name in hosts]
    stays = [f"its definition on {name}, which gives no answer now" for name in silent]
    stays += [f"its disk {path} with all data" for path in disks]
    stays.append("its runs, proofs and events, as history")
    return Removal(tuple(found), tuple(stays), tuple(cleaned))


def _way_in(uri: str) -> str:
    """Return what still lets the portal into that machine's libvirt."""
    kind = uri.partition("://")[0]
    if kind == "qemu+ssh":
        user = urlsplit(uri).username or "root"
        return f"the portal's public key in authorized_keys of {user} there"
    if kind == "qemu+tls":
        return "its trust in the portal's client certificate (tls_allowed_dn_list, the CA)"
    return "its open libvirt port: anybody who reaches it is let in"
