"""Lists: narrowed, ordered and paged by their URL; and many VMs changed at once."""

import re

import pytest
from django.test import Client

from fencing.domain.policy import FIELDS
from fencing.models import Incident
from hosts.domain.states import HostStatus
from portal.core.models import Event, Role
from portal.core.services import record_event
from portal.lib import clock
from portal.views.policy import GROUPS
from tests.api.conftest import Centre, add_host, add_person, add_vm
from vms.models import Vm

BACKEND = "django.contrib.auth.backends.ModelBackend"
PART = {"HTTP_X_PART": "1"}


@pytest.fixture
def administrator(centre: Centre) -> Client:
    """Return the browser of an administrator of everything."""
    client = Client()
    client.force_login(add_person("ada", Role.ADMIN), BACKEND)
    return client


def names(client: Client, url: str) -> list[str]:
    """Return the first column of a list, in its order."""
    text = client.get(url, **PART).content.decode()  # type: ignore[arg-type]  # goes into the headers
    return re.findall(r'<th scope="row"[^>]*><a class="name"[^>]*>([^<]+)</a>', text)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["far1", "node1", "node2"]),
        ("?ordering=-name", ["node2", "node1", "far1"]),
        ("?status=non_responsive", ["node2"]),
        ("?search=node", ["node1", "node2"]),
        ("?search=node+2", ["node2"]),
        ("?search=nothing", []),
        ("?ordering=password", ["far1", "node1", "node2"]),
        ("?search=%00", ["far1", "node1", "node2"]),
        ("?page=99", ["far1", "node1", "node2"]),
    ],
)
def test_hosts_are_narrowed_and_ordered_by_the_url(
    query: str, found: list[str], viewer: Client
) -> None:
    assert names(viewer, f"/hosts/{query}") == found


def test_a_wrong_filter_is_told_and_the_list_shown_without_it(viewer: Client) -> None:
    text = viewer.get("/hosts/?status=nonsense").content.decode()
    assert "The list is shown without it" in text
    assert "node1" in text


def test_columns_are_chosen_in_the_url_and_the_name_always_stays(viewer: Client) -> None:
    text = viewer.get("/hosts/?columns=uri", **PART).content.decode()  # type: ignore[arg-type]  # goes into the headers
    heads = re.findall(r'<th scope="col"[^>]*>(?:<a[^>]*>)?([^<]+)', text)
    assert [head.strip() for head in heads][:2] == ["Host", "Address"]
    assert "qemu+tls://node1/system" in text
    assert "Last look" not in text


def test_a_long_list_has_pages_whose_links_keep_the_filters(centre: Centre, viewer: Client) -> None:
    for number in range(60):
        add_host(f"rack{number:02d}", centre.cluster)
    first = viewer.get("/hosts/?search=rack").content.decode()
    assert "1 to 50 of 60" in first
    assert "?search=rack&amp;page=2" in first
    assert len(names(viewer, "/hosts/?search=rack&page=2")) == 10


def test_vms_of_a_host_are_listed_with_a_way_back_to_all(centre: Centre, viewer: Client) -> None:
    url = f"/vms/?host={centre.node1.pk}"
    assert names(viewer, url) == ["db1"]
    assert "Without host" in viewer.get(url).content.decode()


@pytest.mark.parametrize(
    ("path", "seen", "hidden"),
    [
        ("/hosts/", "node1", "node2"),
        ("/vms/", "db1", "web1"),
        ("/power-controllers/", "Power controllers", "192.0.2.2"),
        ("/incidents/", "Incidents", "node2 does not answer"),
        ("/operations/", "Operations", "node2"),
        ("/events/", "node1 speaks", "node2 speaks"),
        ("/search/?q=node", "node1", "node2"),
    ],
)
def test_a_narrow_role_finds_only_its_own(
    path: str, seen: str, hidden: str, centre: Centre, client: Client
) -> None:
    now = clock.now()
    for host in (centre.node1, centre.node2):
        record_event("host.up", f"{host.name} speaks", now=now, host=host.pk)
    Incident.objects.create(host=centre.node2, title="node2 does not answer", opened_at=now)
    client.force_login(add_person("narrow", Role.VIEWER, "host", centre.node1.pk), BACKEND)
    text = client.get(path).content.decode()
    assert seen in text
    assert hidden not in text


def test_pages_of_things_outside_the_role_are_absent(centre: Centre, client: Client) -> None:
    client.force_login(add_person("narrow", Role.VIEWER, "host", centre.node1.pk), BACKEND)
    event = record_event("host.up", "x", now=clock.now(), host=centre.node2.pk)
    for path in (
        f"/hosts/{centre.node2.pk}/",
        f"/vms/{centre.web1.pk}/",
        f"/clusters/{centre.cluster.pk}/",
        f"/events/{event.pk}/",
        f"/power-controllers/{centre.node2.controllers.get().pk}/",
    ):
        assert client.get(path).status_code == 404, path


def test_a_vms_page_shows_its_runs_with_proofs(centre: Centre, viewer: Client) -> None:
    text = viewer.get(f"/vms/{centre.db1.pk}/").content.decode()
    assert "none: it counts as running" in text
    assert 'data-rest="PATCH"' not in text  # a viewer edits nothing


def test_the_search_finds_by_address_and_operation_id(centre: Centre, viewer: Client) -> None:
    assert "node1" in viewer.get("/search/?q=qemu%2Btls").content.decode()
    assert "Nothing is called" in viewer.get("/search/?q=zzz").content.decode()
    for odd in ("fence-99999999999999999999", "x-", "-1", "vm-\u00b2", "a" * 500, "%00"):
        assert viewer.get("/search/", {"q": odd}).status_code == 200


def test_events_go_on_where_the_page_ended(centre: Centre, viewer: Client) -> None:
    for number in range(60):
        record_event("host.up", f"event number {number}", now=clock.now(), host=centre.node1.pk)
    text = viewer.get("/events/?search=number").content.decode()
    assert "event number 59" in text
    older = re.search(r'href="(\?search=number&amp;before=\d+)"', text)
    assert older is not None
    text = viewer.get("/events/" + older[1].replace("&amp;", "&")).content.decode()
    assert "event number 9<" in text
    assert "event number 59" not in text
    for odd in ("?before=x", "?before=99999999999999999999", "?since=yesterday", "?host=x"):
        assert viewer.get(f"/events/{odd}").status_code == 200


# ---- many at once ------------------------------------------------------------------------


def test_setting_ha_of_many_shows_first_what_would_change(
    centre: Centre, administrator: Client
) -> None:
    ids = f"{centre.db1.pk},{centre.web1.pk}"
    form = {"ids": ids, "ha": "false", "priority": "", "start_tier": "5"}
    text = administrator.post("/vms/bulk/", form | {"preview": "1"}).content.decode()
    assert "HA on → <strong>off</strong>" in text
    assert Vm.objects.get(pk=centre.db1.pk).ha is True  # nothing yet
    text = administrator.post("/vms/bulk/", form).content.decode()
    assert "2 VMs changed" in text
    for vm in Vm.objects.filter(pk__in=[centre.db1.pk, centre.web1.pk]):
        assert (vm.ha, vm.priority, vm.start_tier) == (False, 50, 5)
    told = Event.objects.filter(kind="vm.edited", actor="ada")
    assert told.count() == 2


def test_a_wrong_value_changes_none_and_keeps_what_was_typed(
    centre: Centre, administrator: Client
) -> None:
    form = {"ids": str(centre.db1.pk), "ha": "false", "priority": "101", "start_tier": ""}
    answer = administrator.post("/vms/bulk/", form)
    assert answer.status_code == 422
    assert 'value="101"' in answer.content.decode()
    assert Vm.objects.get(pk=centre.db1.pk).ha is True


def test_only_vms_that_one_administrates_are_changed(centre: Centre, client: Client) -> None:
    other = add_vm("far-vm", centre.other)
    client.force_login(add_person("ben", Role.ADMIN, "cluster", centre.other.pk), BACKEND)
    form = {"ids": f"{centre.db1.pk},{other.pk}", "ha": "false"}
    client.post("/vms/bulk/", form)
    assert Vm.objects.get(pk=centre.db1.pk).ha is True
    assert Vm.objects.get(pk=other.pk).ha is False


def test_an_operator_may_not_set_ha(centre: Centre, operator: Client) -> None:
    assert operator.get(f"/vms/bulk/?ids={centre.db1.pk}").status_code == 403


# ---- policy, first steps -------------------------------------------------------------------


def test_every_setting_of_the_policy_is_in_one_group_of_the_editor() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(FIELDS)


def test_the_editor_shows_what_is_set_and_what_is_inherited(
    centre: Centre, administrator: Client
) -> None:
    centre.cluster.policy = {"grace": 42, "witness": ["192.0.2.1:53"]}
    centre.cluster.save()
    text = administrator.get(f"/clusters/{centre.cluster.pk}/").content.decode()
    assert re.search(r'name="policy.grace"[^>]*value="42"', text)
    assert re.search(r'name="policy.poll"[^>]*value=""[^>]*placeholder="2 \(inherited\)"', text)
    assert 'value="192.0.2.1:53"' in text


def test_a_new_portal_says_what_to_do_next(db: None, client: Client) -> None:
    client.force_login(add_person("ada", Role.ADMIN), BACKEND)
    text = client.get("/").content.decode()
    assert "Add your first host" in text
    assert 'href="/hosts/add/"' in text


def test_the_first_steps_go_when_they_are_done(centre: Centre, administrator: Client) -> None:
    text = administrator.get("/").content.decode()
    assert "First steps" in text  # no controller is proven yet
    centre.node2.controllers.update(identity="proven")
    assert "First steps" not in administrator.get("/").content.decode()
    assert centre.node1.status == HostStatus.UP
