"""Guests that end together: then their host did it, and not they.

libvirt gives the reason *shutdown* to a guest that powers itself down, and also to those
that a host shuts down because it goes down itself.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from vms.domain.restart import VmFacts
from vms.domain.states import EndReason

#: Guests of one host that end this close after one another end together (libvirt-guests
#: may shut them down one by one).
TOGETHER = timedelta(seconds=60)
#: One guest alone has no neighbours, and may have wished so.
_FEW = 2


def hosts_emptied(vms: Iterable[VmFacts]) -> dict[int, datetime]:
    """Return the hosts whose guests have all shut down together, and when the last one did."""
    there = tuple(vms)
    ended: dict[int, list[datetime]] = {}
    for vm in there:
        if vm.last is not None and vm.last.reason is EndReason.GUEST_SHUTDOWN:
            ended.setdefault(vm.last.host, []).append(vm.last.at)
    chains = {host: _newest_chain(times) for host, times in ended.items()}
    last = {host: chain[0] for host, chain in chains.items() if len(chain) >= _FEW}
    if not last:
        return {}
    return {host: at for host, at in last.items() if not _outlived(there, host, at)}


def _newest_chain(times: list[datetime]) -> list[datetime]:
    newest_first = sorted(times, reverse=True)
    chain = newest_first[:1]
    for at in newest_first[1:]:
        if chain[-1] - at > TOGETHER:
            break
        chain.append(at)
    return chain


def _outlived(vms: Iterable[VmFacts], host: int, at: datetime) -> bool:
    """Whether a neighbour ran on after those that shut down."""
    return any(
        (vm.run is not None and host in vm.run.holders and vm.run.started_at <= at)
        or (vm.last is not None and vm.last.host == host and vm.last.at > at)
        for vm in vms
    )


def gone(lost: Mapping[int, datetime], emptied: Mapping[int, datetime]) -> dict[int, datetime]:
    """Return when each host was last lost, or shut its guests down."""
    newest = dict(lost)
    for host, at in emptied.items():
        newest[host] = max(at, newest.get(host, at))
    return newest
