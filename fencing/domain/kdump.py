"""A host that writes a crash dump: it is dead, and disturbed only when ``kdump_wait`` is over.

The crash kernel's messages hold the fence back.  They end runs only where the
storage heartbeat stands still as well: anybody can send a packet.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from fencing.domain.evidence import heartbeat_evidence
from fencing.domain.facts import HostFacts
from fencing.domain.intentions import DumpOver, Intention, MoveHa, UseKdump
from fencing.domain.policy import Policy
from hosts.domain.states import HostStatus
from portal.lib.ha.states import HaEvent, HaState

#: Statuses in which a message of the crash kernel is believed: libvirt is dead.
MAY_DUMP = (HostStatus.CONNECTING, HostStatus.NON_RESPONSIVE, HostStatus.REBOOTING)


def is_believed(
    status: HostStatus, since: datetime | None, policy: Policy, now: datetime, *, own_address: bool
) -> bool:
    """Whether a message holds the fence: from the host's own address, and not for ever."""
    if not own_address or status not in MAY_DUMP or not policy.kdump_wait:
        return False
    return since is None or now - since < timedelta(seconds=policy.kdump_wait)


def dumping(host: HostFacts, policy: Policy, now: datetime) -> Iterator[Intention]:
    """What is done about a host while it dumps."""
    why = "its crash kernel writes a dump; the fence waits for it"
    if host.ha in (HaState.AVAILABLE, HaState.RECOVERED):
        yield MoveHa(host.pk, HaEvent.UNHEALTHY, 0, "its looks go unanswered")
    if host.ha not in (HaState.DISABLED, HaState.INELIGIBLE, HaState.FENCING, HaState.FENCED):
        yield MoveHa(host.pk, HaEvent.FENCE, 0, why)
    since = host.kdump_since
    if since is None or now - since >= timedelta(seconds=policy.kdump_wait):
        yield DumpOver(host.pk, f"kdump_wait of {policy.kdump_wait:g} s is over")
        return
    beat = heartbeat_evidence(host, policy, now)
    if beat.enough and not host.first_contact:
        yield UseKdump(host.pk, f"its crash kernel has reported, and {beat.why}")
