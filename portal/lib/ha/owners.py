"""Which of several engines looks at a host, and when its silence is nobody's own trouble.

Rule 1: each host belongs to one live engine, by rendezvous hashing: an engine that joins
        or leaves moves its own share of the hosts and nothing else.
Rule 2: whoever gets no answer hands the host to one that has not asked since it answered
        last, and only when nobody is left who has not asked is the host silent.

Rule 2 is safe because it is a count of names, not of looks: however the turns went, as long
as one live engine has not tried, nobody calls the host silent.  It is live because every
unanswered turn crosses one live engine off, and an engine that takes no turn says nothing
either and is soon not live.  Times are those of the questions, by the database's clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

#: An engine that has not said for so long that it lives is dead.
DEAD = timedelta(seconds=5)
#: Whoever got no answer from a host that answers others is not given it back for so long.
AWAY = timedelta(seconds=60)
#: Whoever heard nothing where another engine did has so long to hear a host after all.
IN_DOUBT = timedelta(seconds=4)
#: A deaf engine tries whether it hears again this often.
TRIES = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Member:
    """A live engine; a deaf one gets no answers where others do.

    What it asked in vain before ``hears_since`` counts for nothing: its network had been away.
    """

    name: str
    deaf: bool = False
    hears_since: datetime | None = None


def roster(
    rows: Iterable[tuple[str, datetime | None, datetime | None]], me: str, now: datetime
) -> tuple[Member, ...]:
    """Return the engines of live rows (name, ``deaf_since``, ``hears_since``) by name.

    ``me`` lives, whatever its row says; who is alone has nobody to be compared with.
    """
    live = {name: Member(name, is_deaf(deaf, now), hears) for name, deaf, hears in rows}
    live.setdefault(me, Member(me))
    if len(live) == 1:
        return (Member(me),)
    return tuple(live[name] for name in sorted(live))


def is_deaf(deaf_since: datetime | None, now: datetime) -> bool:
    """Whether an engine that was contradicted at ``deaf_since`` has heard nobody in time."""
    return deaf_since is not None and now - deaf_since >= IN_DOUBT


def ranked(host: int, names: Iterable[str]) -> tuple[str, ...]:
    """Return the engines in the order in which they come to own ``host``."""
    return tuple(sorted(names, key=lambda name: (_weight(host, name), name), reverse=True))


def _weight(host: int, name: str) -> bytes:
    return blake2b(f"{host} {name}".encode(), digest_size=8).digest()


def able(members: Sequence[Member]) -> tuple[str, ...]:
    """Return who is worth asking: those that hear, or all where nobody does."""
    return tuple(item.name for item in members if not item.deaf) or tuple(
        item.name for item in members
    )


def home(
    host: int, members: Sequence[Member], missed: Mapping[str, datetime], now: datetime
) -> str:
    """Return the owner of a host that answers; ``missed``: who got no answer, and when."""
    names = able(members)
    lately = {name for name in names if name in missed and now - missed[name] < AWAY}
    return ranked(host, [name for name in names if name not in lately] or names)[0]


def has_missed(member: Member, missed: Mapping[str, datetime], last_seen: datetime | None) -> bool:
    """Whether this engine has asked in vain since the host last answered anybody."""
    at = missed.get(member.name)
    if at is None or (last_seen is not None and at <= last_seen):
        return False
    return member.hears_since is None or at >= member.hears_since


def not_yet(
    members: Sequence[Member], missed: Mapping[str, datetime], last_seen: datetime | None
) -> str:
    """Return the live engines that have not asked in vain since the host last answered."""
    return ", ".join(item.name for item in members if not has_missed(item, missed, last_seen))


def is_silent_to_all(
    members: Sequence[Member], missed: Mapping[str, datetime], last_seen: datetime | None
) -> bool:
    """Whether every live engine has asked in vain since the host last answered anybody."""
    return not not_yet(members, missed, last_seen)


def wrong(missed: Mapping[str, datetime], last_seen: datetime | None, mine: str) -> tuple[str, ...]:
    """Return the other engines that are contradicted by an answer to ``mine``."""
    return tuple(
        name for name in missed if name != mine and has_missed(Member(name), missed, last_seen)
    )


def next_to_ask(
    host: int,
    members: Sequence[Member],
    missed: Mapping[str, datetime],
    last_seen: datetime | None,
) -> str:
    """Return who asks a host that has not answered.

    First whoever has not asked yet, the deaf ones last; then those that hear in turn,
    whoever asked longest ago first.
    """
    known = {item.name: item for item in members}

    def order(name: str) -> tuple[bool, bool, float]:
        asked = has_missed(known[name], missed, last_seen)
        return asked, known[name].deaf, missed[name].timestamp() if asked else 0.0

    return min(ranked(host, known), key=order)
