"""Live migrations in memory: begun by a call, and carried on by whoever plays the world."""

from dataclasses import replace

from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from hosts.hypervisor.machine import MemoryHost, Sending
from hosts.hypervisor.port import Refused


def begin(source: MemoryHost, peer: MemoryHost, guest: SeenGuest, *, post_copy: bool) -> None:
    """Let ``peer`` receive a copy that runs on ``source``; it does not run there yet."""
    uuid = guest.uuid
    under_way = source.sending.get(uuid)
    if under_way is not None:
        if under_way.peer is peer:
            return
        raise Refused(f"{guest.name} is being sent to {under_way.peer.name}")
    if guest.state is not GuestState.RUNNING:
        raise Refused(f"{guest.name} is {guest.state}, not running")
    if peer is source or not peer.alive or not peer.daemon or peer.hung:
        raise Refused(f"{source.name} cannot reach libvirtd on {peer.name}")
    before = peer.guests.get(uuid)
    if before is not None and before.executes:
        raise Refused(f"{peer.name} runs a copy of {guest.name} already")
    sending = Sending(source, peer, before, post_copy)
    source.sending[uuid] = peer.receiving[uuid] = sending
    peer.guests[uuid] = replace(guest, state=GuestState.PAUSED, reason=GuestReason.MIGRATING)
    source.on_send(uuid)


def finish(sending: Sending, uuid: str) -> None:
    """Hand the copy over: from now on it runs at the peer, and the source knows it no more."""
    source, peer = sending.source, sending.peer
    guest = source.guests.get(uuid)
    if guest is None or not guest.executes or peer.receiving.get(uuid) is not sending:
        give_up(sending, uuid)
        return
    del source.guests[uuid]  # libvirt gives its leases back here before the peer asks for them
    if guest.leases and peer.locks(guest):
        source.guests[uuid] = guest
        give_up(sending, uuid)
        return
    del source.sending[uuid], peer.receiving[uuid]
    peer.guests[uuid] = guest
    peer.set_guest(uuid, guest.state, guest.reason)
    if uuid in source.definitions:
        peer.definitions[uuid] = source.definitions.pop(uuid)


def give_up(sending: Sending, uuid: str) -> None:
    """The copy runs on where it was; the peer forgets what it had received, if it can."""
    if sending.source.sending.get(uuid) is sending:
        del sending.source.sending[uuid]
    if sending.peer.alive and not sending.peer.hung:
        sending.peer.drop(sending)


def fail_post_copy(sending: Sending, uuid: str) -> None:
    """Break the line while each host has one half of the memory: neither half can go on."""
    source, peer = sending.source, sending.peer
    guest = source.guests.get(uuid)
    if guest is None or not guest.executes:
        give_up(sending, uuid)
        return
    source.sending.pop(uuid, None)
    peer.receiving.pop(uuid, None)
    for host in (source, peer):
        if host.alive and uuid in host.guests:
            host.set_guest(uuid, GuestState.PAUSED, GuestReason.POSTCOPY_FAILED)
