"""Looking at a machine before it is entered: what cannot be used is refused, not stored."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hosts.domain.causes import advice
from hosts.domain.looks import Look
from hosts.hypervisor import passing
from hosts.hypervisor.port import BadUri, Hypervisor, HypervisorError
from hosts.models import Host
from hosts.services.looks import stranger
from portal.core.services import installation_id
from vms.operations.looking import target_of

#: Seconds for a first look at a machine that nobody has a connection to yet.
DEADLINE = 8.0


class Unfit(Exception):
    """A machine or a BMC that cannot be entered like this; nothing was changed.

    ``command`` is something to copy into a shell that tells more, or cures it.
    """

    def __init__(self, field: str, text: str, cure: str, command: str = "") -> None:
        super().__init__(text)
        self.field = field
        self.cure = cure
        self.command = command


@contextmanager
def reached(host: Host) -> Iterator[tuple[Hypervisor, Look]]:
    """Lend a connection to the machine that ``host`` (saved or not) leads to, and a look at it.

    Raises :class:`Unfit` with the likely cause when it cannot be reached.
    """
    with ExitStack() as stack:
        try:
            hypervisor = stack.enter_context(passing(target_of(host)))
            look = hypervisor.look(deadline=DEADLINE)
        except BadUri as error:
            raise Unfit("uri", str(error), "Write the URI as the text says.") from None
        except HypervisorError as error:
            raise _unreached(host.uri, error) from None
        yield hypervisor, look


def _unreached(uri: str, error: HypervisorError) -> Unfit:
    told = advice(str(error), uri)
    text = f"no host can be used there: {told.text} ({error})"
    return Unfit("uri", text, told.cure, told.command)


def examine(host: Host) -> Look:
    """Look once at the machine that an unsaved ``host`` leads to; raises :class:`Unfit`.

    It must answer, be no other host's machine, be still the same one (where the
    row has been seen before), and be in no other portal's care.
    """
    with reached(host) as (_, look):
        pass
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
