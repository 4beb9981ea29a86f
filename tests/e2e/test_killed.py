"""Every process of the portal killed with SIGKILL at every named step of a failover."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.e2e.story import Story

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e killed")]

#: Name → what must have happened just before the kill.
STEPS: dict[str, Callable[[Story], bool]] = {
    "after claim": lambda story: story.said("this host's own", "fence.step"),
    "after off": lambda story: story.said("off accepted", "fence.step"),
    "between reads": lambda story: story.said("read back off (1)", "fence.step"),
    "after proof": lambda story: bool(story.events("host.proven_off")),
    "after start": lambda story: bool(story.events("vm.starting")),
}
VICTIMS = {
    "worker": ("poll", "ha", "fence", "default"),
    "beat": ("beat",),
    "redis": ("redis",),
    "web": ("web",),
}


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("step", STEPS)
def test_a_failover_survives_the_death_of(story: Story, victim: str, step: str) -> None:
    # What is slow by default (two looks of 3 s, the grace) is not what is tried here.
    story.set_policy(grace=3, connect_deadline=1, poll=1)
    host = story.host_with_vms()
    lost = story.vms_on(host)
    story.hit("host.panic", host=host)
    story.wait(lambda: STEPS[step](story), 40, f"the failover to be {step}")

    with ExitStack() as stack:
        for name in VICTIMS[victim]:
            stack.enter_context(story.rig.held_down(name))
        story.rig.stay_down(10)

    story.wait_elsewhere(lost, host, deadline=90)
    for name in lost:
        # A start whose worker died may have been withdrawn before it succeeded.
        newest, *before = story.runs(name)[:3]
        assert "power_off" in {story.proof(run) for run in before}
        assert newest["ended_at"] is None
