"""Where a VM may start: each filter, the order, and room that is taken only once."""

from collections.abc import Iterable

from fencing.domain.homes import rooms, unfit
from hosts.domain.states import HostStatus, Wanted
from portal.lib.ha.states import HaState
from tests.domain.facts import ago, cluster, host, run, vm
from vms.domain.floor import Floor, RuleBook
from vms.domain.placement import Choice, Need, Room


def _room(number: int = 1, memory: int = 4096, vcpus: int = 4, **more: object) -> Room:
    return Room(number, f"node{number}", memory, vcpus, int(str(more.pop("guests", 0))), **more)  # type: ignore[arg-type]  # the fields' own types, by keyword


def choose(need: Need, offered: Iterable[Room], start_parallel: int) -> Choice:
    return Floor(offered, RuleBook(()), start_parallel, {}).choose(need)


NEED = Need(vm=1, name="vm1", memory_mib=1024, vcpus=1)


def test_every_filter_names_its_reason() -> None:
    crowd = [
        _room(1, memory=1023),
        _room(2, vcpus=0),
        _room(3, starting=4),
        _room(4, unfit="its status is down"),
    ]
    choice = choose(NEED, crowd, start_parallel=4)
    assert choice.host is None
    assert choice.explained == (
        "node1: 1023 MiB free, 1024 needed; node2: 0 vcpus free, 1 needed; "
        "node3: 4 starts under way; node4: its status is down"
    )


def test_most_free_memory_then_fewest_guests_then_name() -> None:
    assert choose(NEED, [_room(1), _room(2, memory=8192)], 4).host == 2
    assert choose(NEED, [_room(1, guests=2), _room(2, guests=1)], 4).host == 2
    assert choose(NEED, [_room(2), _room(1)], 4).host == 1


def test_a_host_that_just_refused_is_the_last_resort() -> None:
    picky = Need(1, "vm1", 1024, 1, avoid=frozenset({2}))
    assert choose(picky, [_room(1), _room(2, memory=8192)], 4).host == 1
    assert choose(picky, [_room(2)], 4).host == 2


def test_a_host_is_fit_only_when_up_wanted_compared_and_prompt() -> None:
    assert unfit(host()) == ""
    assert unfit(host(status=HostStatus.CONNECTING))
    assert unfit(host(wanted=Wanted.MAINTENANCE))
    assert unfit(host(first_contact=True))
    assert unfit(host(slow_since=ago(1)))
    for state in (HaState.FENCING, HaState.FENCED, HaState.RECOVERING, HaState.RECOVERED):
        assert unfit(host(ha=state))


def test_a_guest_takes_room_on_every_host_that_may_hold_it() -> None:
    moving = vm(1, run=run(migrating_to=2))
    offered = {room.host: room for room in rooms(cluster(host(1), host(2), host(3), vms=(moving,)))}
    assert [offered[pk].memory_mib for pk in (1, 2, 3)] == [7168, 7168, 8192]
    assert [offered[pk].guests for pk in (1, 2, 3)] == [1, 1, 0]
