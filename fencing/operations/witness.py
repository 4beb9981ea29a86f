"""Whether this engine still has a network: it asks addresses that are none of its hosts.

An engine that has lost its own network sees every host fall silent; without a
witness that answers it sends no power command (guard ``engine_is_cut_off``).
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from fencing.selectors import cluster_policy, witness_seen_at
from fencing.services.witness import record_seen
from hosts.domain.states import HostStatus
from hosts.models import Host
from portal.lib import clock, node

#: Seconds for each witness; all are asked side by side.
DEADLINE = 1.0
#: While a host is silent the witnesses are asked this often.
_EVERY = timedelta(seconds=4)
_IN_DOUBT = (HostStatus.CONNECTING, HostStatus.NON_RESPONSIVE, HostStatus.KDUMPING)


def ask_witnesses(cluster_id: int) -> None:
    """Ask the witnesses of a cluster with a silent host, if it has any and it is time."""
    if not Host.objects.filter(cluster=cluster_id, status__in=_IN_DOUBT).exists():
        return
    addresses = cluster_policy(cluster_id).witness
    if not addresses:
        return
    asked_at = clock.now()
    last = witness_seen_at(cluster_id)
    if last is not None and asked_at - last < _EVERY:
        return
    with ThreadPoolExecutor(max_workers=len(addresses)) as pool:
        if any(pool.map(_answers, addresses)):
            record_seen(node.this().name, cluster_id, asked_at)


def _answers(address: str) -> bool:
    """Whether a kernel answers there: a refusal is an answer as well."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=DEADLINE).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
