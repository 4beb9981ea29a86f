"""Whether guests that shut down did so by themselves, or their host went down."""

from datetime import timedelta

from fencing.domain.homes import rooms
from fencing.domain.intentions import Start
from fencing.domain.restarts import restarts
from tests.domain.facts import NOW, ago, cluster, host, run, vm
from vms.domain.neighbours import TOGETHER, gone, hosts_emptied
from vms.domain.restart import HOST_SHUTDOWN_WINDOW, LastRun, VmFacts
from vms.domain.states import EndReason, ProofKind


def _shut(
    pk: int, seconds: float = 10, on: int = 1, reason: EndReason = EndReason.GUEST_SHUTDOWN
) -> VmFacts:
    return vm(pk, last=LastRun(on, ProofKind.OBSERVED_OFF, reason, ago(seconds)))


def test_a_host_whose_guests_shut_down_together_has_shut_them_down() -> None:
    assert hosts_emptied([_shut(1, 20), _shut(2, 15), _shut(3, on=2)]) == {1: ago(15)}


def test_one_guest_alone_may_have_wished_so() -> None:
    assert hosts_emptied([_shut(1)]) == {}
    assert hosts_emptied([_shut(1), _shut(2, on=2)]) == {}


def test_guests_that_end_one_after_another_end_together_if_each_is_close_to_the_next() -> None:
    step = TOGETHER.total_seconds()
    assert hosts_emptied([_shut(1, 10), _shut(2, 10 + step), _shut(3, 10 + 2 * step)])
    assert hosts_emptied([_shut(1, 10), _shut(2, 11 + step)]) == {}


def test_another_ending_is_no_shutdown_of_a_neighbour() -> None:
    for reason in (EndReason.ADMIN_STOP, EndReason.CRASHED, EndReason.DESTROYED):
        assert hosts_emptied([_shut(1), _shut(2, reason=reason, seconds=11)]) == {}


def test_a_neighbour_that_runs_on_shows_that_the_host_did_not_do_it() -> None:
    both = [_shut(1), _shut(2, 12)]
    assert hosts_emptied([*both, vm(3, run=run(3, on=1))]) == {}
    assert hosts_emptied([*both, vm(3, run=run(3, on=2, migrating_to=1))]) == {}
    assert hosts_emptied([*both, vm(3, run=run(3, on=2))])
    assert hosts_emptied([*both, vm(3, run=run(3, on=1, started_at=ago(5)))]), "began later"
    assert hosts_emptied([*both, _shut(3, 5, reason=EndReason.CRASHED)]) == {}


def test_a_host_is_gone_since_it_was_lost_or_emptied_whichever_is_later() -> None:
    assert gone({1: ago(9), 2: ago(3)}, {1: ago(5), 3: ago(4)}) == {
        1: ago(5),
        2: ago(3),
        3: ago(4),
    }
    assert gone({1: ago(3)}, {1: ago(5)}) == {1: ago(3)}


def _unfit(at: float, **changes: object) -> str:
    facts = cluster(host(1, **changes), host(2), emptied={1: ago(at)})
    return rooms(facts)[0].unfit


def test_nothing_starts_on_a_host_that_goes_down_until_it_is_back_or_stays_up() -> None:
    window = HOST_SHUTDOWN_WINDOW.total_seconds()
    assert "shut down together" in _unfit(10)
    assert "shut down together" in _unfit(window)
    assert _unfit(window + 5) == ""
    assert "shut down together" in _unfit(10, back_at=ago(20))
    assert _unfit(10, back_at=ago(5)) == ""


def test_the_guests_of_a_host_that_goes_down_start_elsewhere_at_once() -> None:
    vms = (_shut(1), _shut(2))
    emptied = hosts_emptied(vms)
    facts = cluster(host(1), host(2), vms=vms, emptied=emptied, hosts_lost=gone({}, emptied))
    starts = [wish for wish in restarts(facts, NOW) if isinstance(wish, Start)]
    assert {(wish.vm, wish.host) for wish in starts} == {(1, 2), (2, 2)}
    assert NOW - emptied[1] == timedelta(seconds=10)
