"""The run table of the architecture: each row asked of the real services and operations."""

from vms.domain.states import VmState

from tests.vms.world import World


def test_a_start_that_is_asked_opens_generation_one_and_ends_running(both: World) -> None:
    vm = both.started("web1")
    assert both.runs(vm) == [(1, both.copies(vm)[0], "open")]
    assert both.vm(vm).state == VmState.UP
    both.whole()
