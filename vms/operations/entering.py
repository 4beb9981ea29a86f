"""Looking at a machine before it is entered: what cannot be used is refused, not stored."""

from hosts.domain.looks import Look
from hosts.hypervisor import passing
from hosts.hypervisor.port import BadUri, HypervisorError, Target
from hosts.models import Host
from hosts.services.looks import stranger
from portal.core.services import installation_id

#: Seconds for a first look at a machine that nobody has a connection to yet.
DEADLINE = 8.0


class Unfit(Exception):
    """A machine or a BMC that cannot be entered like this; nothing was changed."""

    def __init__(self, field: str, text: str, cure: str) -> None:
        super().__init__(text)
        self.field = field
        self.cure = cure


def examine(host: Host) -> Look:
    """Look once at the machine that an unsaved ``host`` leads to; raises :class:`Unfit`.

    It must answer, be no other host's machine, be still the same one (where the
    row has been seen before), and be in no other portal's care.
    """
    try:
        with passing(Target(host.pk or 0, host.name, host.uri)) as hypervisor:
            look = hypervisor.look(deadline=DEADLINE)
    except BadUri as error:
        raise Unfit("uri", str(error), "Write the URI as the text says.") from None
    except HypervisorError as error:
        cure = "Check the address, that libvirtd listens there, and the firewall between."
        raise Unfit("uri", f"no host can be used there: {error}", cure) from None
    why = stranger(host, look)
    if why:
        raise Unfit("uri", why, "Correct the URI, or change the entry of that machine.")
    own = installation_id()
    for guest in look.guests:
        if guest.stamp is not None and guest.stamp.installation != own:
            text = f"{guest.name} on it carries the mark of another installation of Holdfast"
            cure = "Two portals must not look after one host: remove it there, VMs first."
            raise Unfit("uri", text, cure)
    return look
