"""Hosts, as the provider that describes them tells of them."""

import pytest

from fencing.operations.providers.libvirt_kvm import LibvirtKvm
from hosts.domain.states import HostStatus
from hosts.models import Cluster, Host
from portal.lib.ha.evidence import Answer
from portal.lib.ha.provider import Ask, Subject
from tests.api.conftest import add_host
from tests.vms.watched import BEGIN

ASK = Ask(BEGIN, 1)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (HostStatus.UP, Answer.YES),
        (HostStatus.MAINTENANCE, Answer.UNKNOWN),
        (HostStatus.NON_RESPONSIVE, Answer.UNKNOWN),
        (HostStatus.CONNECTING, Answer.UNKNOWN),
        (HostStatus.DOWN, Answer.NO),
    ],
)
@pytest.mark.django_db
def test_a_silent_host_is_unknown_and_only_a_proven_one_is_dead(
    status: HostStatus, answer: Answer
) -> None:
    host = add_host("node1", Cluster.objects.create(name="main"), status)
    found = LibvirtKvm().is_healthy(Subject("host", str(host.pk), host.name), ASK)
    assert (found.answer, found.asked_at) == (answer, BEGIN)
    assert status in found.text or status is HostStatus.DOWN


@pytest.mark.django_db
def test_what_makes_a_host_ineligible_is_told() -> None:
    host = add_host("node1", Cluster.objects.create(name="main"))
    subject = Subject("host", str(host.pk), host.name)
    assert LibvirtKvm().is_eligible(subject, ASK).answer is Answer.YES
    Host.objects.update(ineligible="its disks are on itself")
    found = LibvirtKvm().is_eligible(subject, ASK)
    assert (found.answer, found.text) == (Answer.NO, "its disks are on itself")


def test_nobody_but_the_rounds_acts_on_a_host() -> None:
    subject = Subject("host", "1", "node1")
    for question in (LibvirtKvm().has_activity, LibvirtKvm().recover, LibvirtKvm().fence):
        assert question(subject, ASK).answer is Answer.UNKNOWN
