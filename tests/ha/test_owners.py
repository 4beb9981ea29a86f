"""Who looks at a host, who looks next, and when everybody has looked."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.lib.ha import owners
from portal.lib.ha.owners import AWAY, IN_DOUBT, Member

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
TWO = (Member("engine1"), Member("engine2"))
HOSTS = range(1, 2001)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def other(name: str) -> str:
    return "engine2" if name == "engine1" else "engine1"


def test_hosts_are_shared_out_fairly() -> None:
    names = [f"engine{n}" for n in range(1, 5)]
    members = tuple(map(Member, names))
    mine = [owners.home(host, members, {}, NOW) for host in HOSTS]
    assert all(400 < mine.count(name) < 600 for name in names)


def test_a_host_is_not_given_back_at_once_to_whoever_did_not_hear_it() -> None:
    mine = owners.home(1, TWO, {}, NOW)
    assert owners.home(1, TWO, {mine: ago(30)}, NOW) == other(mine)
    assert owners.home(1, TWO, {mine: NOW - AWAY}, NOW) == mine
    assert owners.home(1, TWO, {mine: ago(30), other(mine): ago(20)}, NOW) == mine


def test_a_deaf_engine_owns_nothing_while_another_one_hears() -> None:
    deaf = (Member("engine1", deaf=True), Member("engine2"))
    assert {owners.home(host, deaf, {}, NOW) for host in HOSTS} == {"engine2"}
    both = (Member("engine1", deaf=True), Member("engine2", deaf=True))
    assert {owners.home(host, both, {}, NOW) for host in HOSTS} == {"engine1", "engine2"}


def test_whoever_has_not_asked_asks_next_and_the_deaf_one_last() -> None:
    three = (Member("engine1", deaf=True), Member("engine2"), Member("engine3"))
    assert owners.next_to_ask(1, three, {"engine2": ago(3)}, ago(9)) == "engine3"
    missed = {"engine2": ago(6), "engine3": ago(3)}
    assert owners.next_to_ask(1, three, missed, ago(9)) == "engine1"
    assert owners.next_to_ask(1, three, missed | {"engine1": ago(1)}, ago(9)) == "engine2"


def test_a_miss_from_before_the_last_answer_counts_for_nothing() -> None:
    missed = {"engine1": ago(10), "engine2": ago(3)}
    assert owners.is_silent_to_all(TWO, missed, ago(11))
    assert not owners.is_silent_to_all(TWO, missed, ago(10))
    assert owners.not_yet(TWO, missed, ago(9)) == "engine1"
    assert owners.next_to_ask(1, TWO, missed, ago(9)) == "engine1"
    assert owners.is_silent_to_all(TWO, missed, None)


def test_what_was_asked_while_the_network_was_away_counts_for_nothing() -> None:
    back = (Member("engine1"), Member("engine2", hears_since=ago(2)))
    missed = {"engine1": ago(3), "engine2": ago(3)}
    assert owners.not_yet(back, missed, ago(9)) == "engine2"
    assert not owners.not_yet(back, missed | {"engine2": ago(2)}, ago(9))


def test_an_answer_contradicts_whoever_asked_since_the_last_one() -> None:
    missed = {"engine1": ago(3), "engine2": ago(3), "engine3": ago(20)}
    assert owners.wrong(missed, ago(9), "engine2") == ("engine1",)


@pytest.mark.parametrize(("since", "deaf"), [(None, False), (ago(1), False), (ago(4), True)])
def test_a_contradicted_engine_has_some_seconds_to_hear_a_host(
    since: datetime | None, deaf: bool
) -> None:
    assert timedelta(seconds=4) == IN_DOUBT
    assert owners.is_deaf(since, NOW) is deaf


def test_an_engine_that_is_alone_is_never_deaf() -> None:
    """Nobody could contradict it: with one engine nothing is as if there were several."""
    alone = owners.roster([("engine1", ago(99), ago(1))], "engine1", NOW)
    assert alone == (Member("engine1"),)
    assert owners.roster([], "engine1", NOW) == alone
    two = owners.roster([("engine2", ago(99), ago(1))], "engine1", NOW)
    assert two == (Member("engine1"), Member("engine2", deaf=True, hears_since=ago(1)))
