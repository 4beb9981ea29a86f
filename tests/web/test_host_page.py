"""What a host's page offers beside its VMs, and what the overview says while one is away."""

from datetime import timedelta

import pytest
from django.test import Client

from fencing.models import Incident, PowerController
from fencing.services import capacity
from fencing.services.incidents import close_incident
from hosts.models import Host
from portal.lib import clock
from tests.api.conftest import Centre

GUEST = {"uuid": "00000000-0000-4000-8000-0000000000f9", "name": "git1", "state": "running"}


def _page(client: Client, path: str) -> str:
    return client.get(path).content.decode()


@pytest.fixture
def with_a_guest(centre: Centre) -> Host:
    """A host with a guest that nobody looks after."""
    Host.objects.filter(pk=centre.node1.pk).update(others=[GUEST])
    return centre.node1


def test_a_guest_that_nobody_looks_after_is_named_and_can_be_taken_over(
    with_a_guest: Host, admin_page: Client, viewer: Client
) -> None:
    path = f"/hosts/{with_a_guest.pk}/"
    shown = _page(admin_page, path)
    assert "git1" in shown
    assert "Take over git1" in shown
    assert "git1" in _page(viewer, path)
    assert "Take over git1" not in _page(viewer, path)
    assert "Not looked after" not in _page(admin_page, f"/hosts/{with_a_guest.pk + 1}/")


def test_whoever_cuts_a_power_is_told_whether_it_comes_back(
    centre: Centre, admin_page: Client
) -> None:
    host = PowerController.objects.get().host
    Host.objects.filter(pk=host.pk).update(wanted="active")
    path = f"/hosts/{host.pk}/"
    assert "Then it is switched on again" in _page(admin_page, path)
    Host.objects.filter(pk=host.pk).update(wanted="maintenance", status="maintenance")
    assert "It stays off until it is activated" in _page(admin_page, path)


def test_whoever_sends_a_host_off_is_told_what_becomes_of_its_vms(
    centre: Centre, admin_page: Client
) -> None:
    path = f"/hosts/{centre.node1.pk}/"
    Host.objects.filter(pk=centre.node1.pk).update(status="up")
    said = _page(admin_page, path)
    assert "Reboot node1? It shuts down and is switched on again." in said
    assert "shutdown_policy is migrate, but no running VM is moved yet" in said
    Host.objects.filter(pk=centre.node1.pk).update(policy={"shutdown_policy": "freeze"})
    said = _page(admin_page, path)
    assert "Those with HA wait for it, and start there again" in said
    assert "Shut down node1? It stays off until it is switched on here." in said
    Host.objects.filter(pk=centre.node1.pk).update(is_self=True)
    assert "Reboot node1?" not in _page(admin_page, path)


def test_what_can_be_lost_besides_says_who_is_away_already(centre: Centre, viewer: Client) -> None:
    capacity.check(centre.cluster.pk, clock.now())
    Host.objects.filter(pk=centre.node2.pk).update(status="up")
    assert "not answer: what follows" not in _page(viewer, "/")
    Host.objects.filter(pk=centre.node2.pk).update(status="non_responsive")
    assert "node2 does not answer: what follows is about losing one host more" in _page(viewer, "/")


def test_a_power_cut_by_hand_that_hit_no_vm_has_ended_well(centre: Centre, viewer: Client) -> None:
    now = clock.now()
    row = Incident.objects.create(host=centre.node1, title="node1 is fenced", opened_at=now)
    close_incident(row, "host_down", "no VM ran on it", now + timedelta(seconds=5))
    assert "1 ended well, 0 not" in _page(viewer, "/")


def test_the_overview_says_what_happens_if_the_portals_own_host_dies(
    centre: Centre, viewer: Client
) -> None:
    assert "This portal runs on" not in _page(viewer, "/")
    Host.objects.filter(pk=centre.node2.pk).update(is_self=True)
    said = _page(viewer, "/")
    assert "This portal runs on node2, which it neither fences nor confirms." in said
    assert "If node2 dies, the portal dies with it: nothing restarts until" in said
