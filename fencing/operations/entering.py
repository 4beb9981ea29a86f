"""Asking a BMC before it is entered: a silent one, or another machine's, is refused."""

from dataclasses import dataclass

from fencing.domain.evidence import identity_of
from fencing.domain.facts import Identity
from fencing.domain.power import FATAL, PowerState
from fencing.models import PowerController
from fencing.operations.reading import bmc_of
from fencing.power import power_for
from fencing.power.port import PowerError, Reading
from fencing.selectors import policy_of
from hosts.models import Host
from vms.domain.proofs import identity_is_proven
from vms.operations.entering import Unfit

#: What is asked about anew when one of these changes; the others change no answer.
ASKED_FOR = frozenset({"host", "driver", "address", "port", "username", "password", "options"})


@dataclass(frozen=True, slots=True)
class Read:
    """What a BMC said that nobody has entered yet, and whose it is."""

    state: PowerState
    guid: str | None
    identity: Identity
    text: str


def read(row: PowerController, deadline_s: float) -> Read:
    """Read the power of the machine that an unsaved ``row`` leads to; raises :class:`Unfit`."""
    try:
        bmc = bmc_of(row)
        reading = power_for(bmc).read(bmc, deadline=deadline_s)
    except PowerError as error:
        field = error.field or ("password" if error.problem in FATAL else "address")
        cure = "Correct it, or repair the BMC, and send it again; nothing was stored."
        raise Unfit(field, str(error), cure) from None
    identity = identity_of(reading.guid, row.host.host_uuid)
    return Read(reading.state, reading.guid, identity, _told(row, reading, identity))


def _told(row: PowerController, reading: Reading, identity: Identity) -> str:
    if identity is Identity.FOREIGN:
        return f"the BMC there is {_whose(reading.guid)}, not of {row.host.name}"
    if identity is Identity.PROVEN:
        return f"it is the BMC of {row.host.name}, and says {reading.state}"
    missing = (
        "tells no GUID" if reading.guid is None else "cannot be compared: the host has no UUID"
    )
    return f"it says {reading.state}, and {missing}: unproven, it switches nothing"


def examine(row: PowerController) -> None:
    """Read a BMC before it is entered; raises :class:`Unfit`.

    One that tells no GUID may be entered: it is shown as unproven, and switches nothing.
    """
    found = read(row, policy_of(row.host).bmc_deadline)
    if found.identity is Identity.FOREIGN:
        cure = "Correct the address, or choose the host that it belongs to."
        raise Unfit("address", found.text, cure)


def _whose(guid: str | None) -> str:
    for host in Host.objects.exclude(host_uuid=""):
        if identity_is_proven(guid, host.host_uuid):
            return f"that of {host.name}"
    return f"that of another machine (GUID {guid})"
