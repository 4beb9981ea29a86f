"""Calls in threads of their own: what is not sent any more."""

import pytest

from hosts.hypervisor.libvirtd.jobs import GivenUp, Job, Lane, Patience


def _ended(patience: Patience) -> Job[None]:
    lane = Lane(1)
    lane.enter(0)
    job: Job[None] = Job(lambda job: job.go_on(), lane, "test", patience)
    assert job.done.wait(5)
    return job


def test_no_step_is_sent_past_the_deadline_even_when_nobody_has_given_up_yet() -> None:
    """As after a SIGSTOP of the whole process: the waiting thread was frozen as well."""
    with pytest.raises(GivenUp):
        _ended(Patience(0)).result()


def test_a_step_within_the_deadline_is_sent() -> None:
    assert _ended(Patience(60)).result() is None
