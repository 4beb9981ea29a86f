"""What speaks against a person's word that a host is off."""

from datetime import datetime

from fencing.domain.evidence import heartbeat_evidence
from fencing.domain.facts import HostFacts, Identity
from fencing.domain.policy import Policy
from fencing.domain.power import PowerState
from hosts.domain.heartbeat import Beat


def known_against(host: HostFacts, policy: Policy, now: datetime) -> str:
    """Return the evidence that contradicts "it is off", or the empty text.

    A BMC that is another machine's, distrusted or silent contradicts nothing.
    One that says *on* does, unless it has said *off* since the last contact:
    then the host was off in between.  So does a storage heartbeat that advances.
    """
    for item in host.controllers:
        usable = item.trusted and item.problem is None and item.identity is not Identity.FOREIGN
        if usable and item.state is PowerState.ON:
            return "its BMC says that the power is on"
    beat = heartbeat_evidence(host, policy, now)
    return f"{beat.why}: it is on" if beat.beat is Beat.ADVANCES else ""
