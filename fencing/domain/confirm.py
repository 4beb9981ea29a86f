"""What speaks against a person's word that a host is off."""

from fencing.domain.facts import HostFacts, Identity
from fencing.domain.power import PowerState


def known_against(host: HostFacts) -> str:
    """Return the evidence that contradicts "it is off", or the empty text.

    A BMC that is another machine's, distrusted or silent contradicts nothing.
    One that says *on* does, unless it has said *off* since the last contact:
    then the host was off in between.
    """
    for item in host.controllers:
        usable = item.trusted and item.problem is None and item.identity is not Identity.FOREIGN
        if usable and item.state is PowerState.ON:
            return "its BMC says that the power is on"
    return ""
