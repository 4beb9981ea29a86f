"""Whoever joins, leaves, hears or does not: shares stay fair, and no reachable host is silent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from portal.lib.ha import owners
from portal.lib.ha.owners import Member

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LOOK = timedelta(seconds=3)
HOSTS = range(1, 301)
names = st.lists(
    st.text("abcdefgh0123456789.-", min_size=1, max_size=12), min_size=1, max_size=6, unique=True
)
#: Who lives, who of them can reach the host, whom the portal takes for deaf; look by look.
engines = ("a", "b", "c", "d")
some = st.frozensets(st.sampled_from(engines))
moment = st.tuples(some.filter(bool), some, some)


def home(host: int, live: Sequence[str]) -> str:
    return owners.home(host, tuple(map(Member, live)), {}, NOW)


@given(names, st.text("xyz", min_size=1, max_size=5))
def test_an_engine_that_joins_takes_hosts_to_itself_and_moves_no_other(
    live: list[str], new: str
) -> None:
    moved = {host for host in HOSTS if home(host, live) != home(host, [*live, new])}
    assert {home(host, [*live, new]) for host in moved} <= {new}
    fair = len(HOSTS) / (len(live) + 1)
    assert len(moved) < 2 * fair + 20


@given(names.filter(lambda live: len(live) > 1))
def test_an_engine_that_leaves_moves_its_own_hosts_and_no_other(live: list[str]) -> None:
    left = live[1:]
    for host in HOSTS:
        assert home(host, live) in (live[0], home(host, left))


@given(names)
def test_the_order_in_which_engines_are_told_decides_nothing(live: list[str]) -> None:
    assert [home(host, live) for host in HOSTS] == [home(host, live[::-1]) for host in HOSTS]


@given(st.integers(1, 50), st.lists(moment, max_size=25))
def test_no_host_is_silent_while_a_live_engine_has_not_asked_it_in_vain(
    host: int, moments: list[tuple[frozenset[str], frozenset[str], frozenset[str]]]
) -> None:
    """Whatever joins and leaves between two looks: the judgement is by names, not by turns."""
    now, last_seen, missed, asker = NOW, NOW, dict[str, datetime](), ""
    really: dict[str, datetime] = {}
    for live, reach, deaf in moments:
        members = tuple(Member(name, name in deaf) for name in sorted(live))
        if asker not in live:
            asker = owners.home(host, members, missed, now)
        now += LOOK
        if asker in reach:
            last_seen, really = now, {}
            missed.pop(asker, None)
            asker = owners.home(host, members, missed, now)
            continue
        missed[asker] = really[asker] = now
        assert owners.is_silent_to_all(members, missed, last_seen) == (live <= really.keys())
        asker = owners.next_to_ask(host, members, missed, last_seen)


@given(st.integers(1, 50), some.filter(bool), some, some)
def test_every_live_engine_has_asked_after_as_many_looks_as_there_are_engines(
    host: int, live: frozenset[str], deaf: frozenset[str], before: frozenset[str]
) -> None:
    members = tuple(Member(name, name in deaf) for name in sorted(live))
    missed = dict.fromkeys(before, NOW - 9 * LOOK)  # older than the last answer
    asker, asked = owners.home(host, members, missed, NOW), list[str]()
    for turn in range(1, len(live) + 1):
        asked.append(asker)
        missed[asker] = NOW + turn * LOOK
        silent = owners.is_silent_to_all(members, missed, NOW)
        assert silent == (turn == len(live))
        asker = owners.next_to_ask(host, members, missed, NOW)
    assert set(asked) == live
