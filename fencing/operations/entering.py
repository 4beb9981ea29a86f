"""Asking a BMC before it is entered: a silent one, or another machine's, is refused."""

from fencing.domain.facts import Identity
from fencing.domain.power import FATAL
from fencing.models import PowerController
from fencing.operations.reading import bmc_of
from fencing.power import power_for
from fencing.power.port import PowerError
from fencing.selectors import policy_of
from fencing.services.power import identity_of
from hosts.models import Host
from vms.domain.proofs import identity_is_proven
from vms.operations.entering import Unfit

#: What is asked about anew when one of these changes; the others change no answer.
ASKED_FOR = frozenset({"host", "driver", "address", "port", "username", "password", "options"})


def examine(row: PowerController) -> None:
    """Read the power of the machine that an unsaved ``row`` leads to; raises :class:`Unfit`.

    A BMC that tells no GUID may be entered: it is shown as unproven, and switches nothing.
    """
    try:
        bmc = bmc_of(row)
        reading = power_for(bmc).read(bmc, deadline=policy_of(row.host).bmc_deadline)
    except PowerError as error:
        field = error.field or ("password" if error.problem in FATAL else "address")
        cure = "Correct it, or repair the BMC, and send it again; nothing was stored."
        raise Unfit(field, str(error), cure) from None
    if identity_of(reading.guid, row.host.host_uuid) is Identity.FOREIGN:
        text = f"the BMC there is {_whose(reading.guid)}, not of {row.host.name}"
        raise Unfit("address", text, "Correct the address, or choose the host that it belongs to.")


def _whose(guid: str | None) -> str:
    for host in Host.objects.exclude(host_uuid=""):
        if identity_is_proven(guid, host.host_uuid):
            return f"that of {host.name}"
    return f"that of another machine (GUID {guid})"
