"""Engines and their hosts in the pure depth (``hosts.services.engines`` and ``owners``)."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from hosts.hypervisor.port import HypervisorError
from portal.lib.ha import owners
from portal.sim.ledger import Book
from portal.sim.pure_guests import Step
from portal.sim.pure_work import LOOK
from portal.sim.rows import HostRow
from portal.sim.wire import Wire
from vms.operations.looking import TRY_S


def _set(book: Book, name: str, **changes: Any) -> None:
    book.members[name] = replace(book.members[name], **changes)


def join(book: Book, names: Iterable[str]) -> None:
    """Start a new epoch for engines that were dead."""
    for name in names:
        epoch = book.members[name].epoch + 1
        _set(book, name, epoch=epoch, beat_at=book.now(), buried=False, deaf_since=None)


def beat(book: Book, wire: Wire) -> Step:
    """Say that an engine lives; one that counted as dead begins a new epoch."""
    me, now = book.engine, book.now()
    if book.members[me].buried or now - book.members[me].beat_at > owners.DEAD:
        join(book, [me])
        return
    _set(book, me, beat_at=now)
    row = book.members[me]
    tried = row.tried_at is not None and now - row.tried_at < owners.TRIES
    if row.deaf_since is None or tried:
        return
    _set(book, me, tried_at=now)
    seen = [host for host in book.hosts.values() if host.last_seen is not None]
    if not seen:
        return
    newest = max(seen, key=_seen_at)
    try:
        yield from wire.look(newest.name, TRY_S)
    except HypervisorError:
        return
    _heard(book, regained=owners.is_deaf(book.members[me].deaf_since, book.now()))


def _heard(book: Book, *, regained: bool) -> None:
    """A host has answered; what was asked in vain while the network was away is void."""
    _set(book, book.engine, deaf_since=None)
    if regained:
        _set(book, book.engine, hears_since=book.now())


def _seen_at(row: HostRow) -> datetime:
    if row.last_seen is None:
        raise ValueError(f"{row.name} was never seen")
    return row.last_seen


def bury(book: Book, due_at: datetime) -> None:
    """Take over what the other engines that count as dead have claimed, each once."""
    for name, row in list(book.members.items()):
        if name == book.engine or row.buried or book.now() - row.beat_at <= owners.DEAD:
            continue
        _set(book, name, epoch=row.epoch + 1, buried=True)
        release(book, {name}, due_at)


def release(book: Book, engines: Collection[str], due_at: datetime) -> None:
    """Make due what these engines have claimed (``work.release_claims``)."""
    for op in list(book.ops.values()):
        if op.state == "acting" and op.owner in engines:
            book.ops[op.pk] = replace(op, due_at=due_at, version=op.version + 1)


def assign(book: Book) -> None:
    """Give every host to the engine whose it is; a silent one changes hands at its own looks."""
    members, now = book.roster, book.now()
    live = {item.name for item in members}
    for row in list(book.hosts.values()):
        if row.missed and row.owner in live:
            continue
        new = owners.home(row.pk, members, row.missed_by, now)
        if new != row.owner:
            book.set_host(row.pk, owner=new)
            if len(members) > 1:
                book.wake(LOOK, row.pk, to=new)


def hand_on(book: Book, row: HostRow, asked_at: datetime) -> bool:
    """Hand a host that has not answered on; return whether nobody is left to ask."""
    members = book.roster
    names = [item.name for item in members]
    missed = {name: row.missed_by[name] for name in names if name in row.missed_by}
    missed[book.engine] = asked_at
    new = owners.next_to_ask(row.pk, members, missed, row.last_seen)
    book.set_host(row.pk, missed_by=missed, owner=new)
    return owners.is_silent_to_all(members, missed, row.last_seen)


def answered(book: Book, row: HostRow) -> None:
    """Whoever asked in vain what another one hears now is contradicted."""
    me, now = book.engine, book.now()
    if not row.missed_by:
        return
    if me in row.missed_by:
        seen = [host.last_seen for host in book.hosts.values() if host.last_seen is not None]
        _heard(book, regained=not any(at > row.missed_by[me] for at in seen))
    for name in owners.wrong(row.missed_by, row.last_seen, me):
        if book.members[name].deaf_since is None:
            _set(book, name, deaf_since=now, tried_at=None)
    kept = {name: at for name, at in row.missed_by.items() if name != me and now - at < owners.AWAY}
    book.set_host(row.pk, missed_by=kept)


def is_mine(book: Book, host: int) -> bool:
    """Whether the engine that acts looks at the host (``hosts.services.owners.is_mine``)."""
    return book.hosts[host].owner in ("", book.engine)
