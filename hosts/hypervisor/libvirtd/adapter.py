"""The hypervisor port on libvirt's remote protocol."""

from collections.abc import Callable
from typing import Any, TypeVar

from hosts.domain.looks import KernelSign, Look, Stamp
from hosts.domain.uri import BadHostUri
from hosts.hypervisor.domain_xml import BadXml, stamped
from hosts.hypervisor.libvirtd import acts, migrating, seen
from hosts.hypervisor.libvirtd.jobs import Lane, Patience
from hosts.hypervisor.libvirtd.link import Link
from hosts.hypervisor.libvirtd.loop import send_hint
from hosts.hypervisor.libvirtd.seen import HostFacts
from hosts.hypervisor.libvirtd.wire import NotHeard, Wire, Work
from hosts.hypervisor.port import (
    BadUri,
    Definition,
    GuestSpec,
    Hint,
    NoAnswer,
    NotSent,
    Progress,
    Refused,
    Silent,
    Target,
    Transfer,
)

T = TypeVar("T")

#: Actions on one host at once.  More wait, and are not sent at their deadline.
ACTIONS_AT_ONCE = 4


class Libvirtd:
    """One host's libvirtd; see :class:`hosts.hypervisor.port.Hypervisor`.

    The URI must have passed :func:`hosts.domain.uri.parse_uri`.  A subclass may
    override :meth:`_host_facts` and :meth:`_uptime_s` for drivers that do not tell.
    """

    def __init__(self, target: Target, hint: Hint | None = None) -> None:
        self.target = target
        self._hint = hint
        self._looks = Lane(1)
        self._actions = Lane(ACTIONS_AT_ONCE)
        try:
            self._wire = Wire(
                target.uri, target.name, facts_of=self._host_facts, on_event=self._on_event
            )
        except BadHostUri as error:
            raise BadUri(str(error)) from None

    def look(self, *, deadline: float, on_slow: Callable[[], None] | None = None) -> Look:
        """Ask for everything at once; see the port."""
        patience = Patience(deadline, on_slow=on_slow, ask_sign=self._wire.door.sign)
        try:
            return self._wire.call(self._look, patience, self._looks)
        except NotHeard as error:
            raise Silent(f"{self.target.name}: {error}", error.sign) from None
        except Refused as error:
            text = f"{self.target.name}: libvirtd cannot tell what runs: {error}"
            raise Silent(text, KernelSign.ALIVE) from None

    def place_marker(self, token: str, *, deadline: float) -> None:
        """Create the transient pool that marks this boot; see the port.

        Another token's marker is :class:`Refused`: the next look shows that one.
        """
        self._ask(lambda conn: acts.place_marker(conn, token), deadline)

    def remove_marker(self, token: str, *, deadline: float) -> None:
        """Take the marker of that token away; see the port."""
        self._ask(lambda conn: acts.remove_marker(conn, token), deadline)

    def definition(self, uuid: str, *, deadline: float) -> Definition:
        """Return how a domain is defined; see the port."""
        return self._ask(lambda conn: acts.definition(conn, uuid), deadline)

    def adopt(self, uuid: str, stamp: Stamp, *, deadline: float) -> None:
        """Stamp a domain that somebody else defined; see the port."""
        self._act(lambda link, go_on: acts.adopt(link.conn, uuid, stamp, go_on), deadline)

    def start(self, guest: GuestSpec, *, deadline: float) -> None:
        """Define, disarm, create; see the port.  A step after the deadline is not sent."""
        try:
            xml = stamped(
                guest.xml,
                uuid=guest.uuid,
                name=guest.name,
                stamp=guest.stamp,
                leases=guest.leases,
            )
        except BadXml as error:
            raise Refused(f"{guest.name}: {error}") from None

        def work(link: Link, go_on: Callable[[], None]) -> None:
            if acts.runs_already(acts.find_or_none(link.conn, guest.uuid), guest.stamp):
                return
            go_on()
            domain = self._define(link.conn, xml)
            go_on()
            acts.disarm(domain)
            go_on()
            domain.create()

        self._act(work, deadline)

    def undefine(self, uuid: str, *, deadline: float) -> None:
        """Forget the definition; :class:`Refused` while the copy is active."""
        self._act(lambda link, go_on: acts.undefine(link.conn, uuid, go_on), deadline)

    def shutdown(self, uuid: str, *, deadline: float) -> None:
        """Ask the guest to shut down; one that is off already is success."""
        self._ask(lambda conn: acts.shutdown(conn, uuid), deadline)

    def destroy(self, uuid: str, *, deadline: float) -> None:
        """Stop the copy at once; see the port."""
        self._ask(lambda conn: acts.destroy(conn, uuid), deadline)

    def suspend(self, uuid: str, *, deadline: float) -> None:
        """Freeze the copy's CPUs; see the port."""
        self._ask(lambda conn: acts.suspend(conn, uuid), deadline)

    def resume(self, uuid: str, *, deadline: float) -> None:
        """Let a paused copy go on; see the port."""
        self._ask(lambda conn: acts.resume(conn, uuid), deadline)

    def migrate(self, uuid: str, transfer: Transfer, *, deadline: float) -> None:
        """Begin to send a copy to a peer; see the port."""
        flags = self._migrate_flags()

        def work(link: Link, go_on: Callable[[], None]) -> None:
            migrating.migrate(link.conn, uuid, transfer, flags, go_on)

        self._act(work, deadline)

    def progress(self, uuid: str, *, deadline: float) -> Progress | None:
        """Return how far the copy is sent; see the port."""
        return self._ask(lambda conn: migrating.progress(conn, uuid), deadline)

    def cancel_migration(self, uuid: str, *, deadline: float) -> None:
        """Stop sending; see the port."""
        self._ask(lambda conn: migrating.cancel(conn, uuid), deadline)

    def hurry_migration(self, uuid: str, *, deadline: float) -> None:
        """Switch to post-copy; see the port."""
        self._ask(lambda conn: migrating.hurry(conn, uuid), deadline)

    def disarm_autostart(self, uuid: str, *, deadline: float) -> None:
        """Clear autostart and managed save; see the port."""
        self._ask(lambda conn: acts.disarm(acts.find(conn, uuid)), deadline)

    def close(self) -> None:
        """Give up the connection; see the port."""
        self._wire.close()

    # --- for subclasses -----------------------------------------------------------------------

    def _migrate_flags(self) -> int:
        """Return libvirt's flags of a migration, but that for post-copy."""
        return migrating.FLAGS

    def _host_facts(self, conn: Any) -> HostFacts:
        """Return who answers; called once for each connection, before its first use."""
        return seen.host_facts(conn)

    def _uptime_s(self, conn: Any, facts: HostFacts) -> float | None:
        """Return the seconds since the host's boot; None when it does not tell."""
        return seen.uptime_s(conn, facts.vcpus)

    def _define(self, conn: Any, xml: str) -> Any:
        """Define a domain and return it."""
        return conn.defineXML(xml)

    def _ask(self, work: Callable[[Any], T], deadline: float) -> T:
        """Run ``work`` on the open connection (a ``virConnect``), with the port's errors."""
        return self._act(lambda link, _go_on: work(link.conn), deadline)

    # --- inside -------------------------------------------------------------------------------

    def _act(self, work: Work[T], deadline: float) -> T:
        try:
            return self._wire.call(work, Patience(deadline), self._actions)
        except NotHeard as error:
            kind = NoAnswer if error.sent else NotSent
            raise kind(f"{self.target.name}: {error}") from None
        except Refused as error:
            raise type(error)(f"{self.target.name}: {error}") from None

    def _look(self, link: Link, go_on: Callable[[], None]) -> Look:
        facts: HostFacts = link.facts
        pools = seen.pools(link.conn)
        tokens = seen.markers(pools or ())
        return Look(
            host_uuid=facts.host_uuid,
            hostname=facts.hostname,
            memory_mib=facts.memory_mib,
            vcpus=facts.vcpus,
            cpu_arch=facts.cpu_arch,
            cpu_model=facts.cpu_model,
            boot_marker=tokens[0] if tokens else None,
            uptime_s=self._uptime_s(link.conn, facts),
            libvirt=facts.libvirt,
            guests=tuple(seen.guests(link.conn, go_on)),
            networks=seen.networks(link.conn),
            storage=None if pools is None else seen.lasting(pools),
        )

    def _on_event(self) -> None:
        if self._hint is not None:
            send_hint(self._hint, self.target.host_id)
