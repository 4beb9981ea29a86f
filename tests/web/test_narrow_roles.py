"""What people with little or no right are told: that it is their role, and whom to ask."""

import re

import pytest
from django.test import Client

from portal.core.models import Role
from tests.api.conftest import Centre, add_host, add_person

BACKEND = "django.contrib.auth.backends.ModelBackend"


def test_who_has_no_role_is_told_so_and_not_led_round_in_a_circle(
    centre: Centre, client: Client
) -> None:
    client.force_login(add_person("nobody"), BACKEND)
    answer = client.get("/")
    assert answer.status_code == 403
    text = answer.content.decode()
    assert "You have no role yet" in text
    assert "Ask an administrator" in text
    assert 'href="/"' not in text  # the same 403 again
    assert 'action="/sign-out/"' in text


def test_who_has_a_role_for_less_is_led_to_the_overview(viewer: Client) -> None:
    answer = viewer.get("/users/")
    assert answer.status_code == 403
    assert "Your role does not cover this" in answer.content.decode()
    assert 'href="/"' in answer.content.decode()


def test_a_page_that_no_role_covers_is_one_line_of_the_log(
    centre: Centre, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.force_login(add_person("nobody"), BACKEND)
    client.get("/hosts/")
    (line,) = [item for item in caplog.records if item.name == "django.request"]
    assert "/hosts/" in line.getMessage()
    assert line.exc_info is None


def test_a_request_for_another_portals_name_is_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = Client().get("/api/v1/hosts/", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 400
    (line,) = [item for item in caplog.records if item.name.startswith("django.security")]
    assert "elsewhere.example" in line.getMessage()
    assert line.exc_info is None


def _page(centre: Centre, path: str, role: Role, kind: str, pk: int) -> str:
    client = Client()
    user = add_person(f"{role}-{kind}-{pk}", role, kind, pk)
    client.force_login(user, BACKEND)
    return client.get(path).content.decode()


def test_a_narrow_role_is_not_told_that_there_is_nothing(centre: Centre) -> None:
    of_host = _page(centre, "/", Role.VIEWER, "host", centre.node1.pk)
    assert "No cluster yet" not in of_host
    assert "Your roles cover no whole cluster" in of_host
    of_vm = _page(centre, "/", Role.OPERATOR, "vm", centre.idle1.pk)
    assert "No hosts yet" not in of_vm
    assert "Your roles cover no host" in of_vm
    empty = add_host("empty1", centre.other)
    without_vms = _page(centre, "/", Role.VIEWER, "host", empty.pk)
    assert "No VMs yet" not in without_vms
    assert "Your roles cover no VM" in without_vms
    for text in (of_host, of_vm, without_vms):
        assert "/hosts/add/" not in text  # it would answer 403


@pytest.mark.parametrize("path", ["/hosts/", "/clusters/", "/power-controllers/", "/incidents/"])
def test_an_empty_list_says_that_it_is_the_role_that_is_narrow(path: str, centre: Centre) -> None:
    text = _page(centre, path, Role.VIEWER, "vm", centre.idle1.pk)
    (said,) = re.findall(r'<p class="nothing">.*?<span>(.*?)</span></p>', text)
    assert said == "Your roles cover none of these."


def test_who_only_looks_is_offered_no_host_to_add(db: None, client: Client) -> None:
    client.force_login(add_person("v", Role.VIEWER), BACKEND)
    text = client.get("/").content.decode()
    for words in ("No hosts yet", "No VMs yet", "No cluster yet"):
        assert words in text
    assert "/hosts/add/" not in text
