"""The pages: who gets in, what they show, and that they cost the same for many as for few."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import Identity
from fencing.domain.power import PowerProblem, PowerState
from fencing.models import Incident
from fencing.services.incidents import close_incident, open_incident, raise_alert
from hosts.domain.states import HostStatus
from hosts.services.inventory import note_done
from portal.core.models import Role
from portal.core.services import record_event
from portal.lib import clock
from portal.lib.ha.states import HaState
from portal.templatetags.look import LOOKS, evidence, span
from portal.views.parts import PARTS
from tests.api.conftest import Centre, add_host, add_person, add_vm
from vms.domain.states import VmState
from vms.models import VmOperation

PAGES = ["/", "/parts/hosts/", "/incidents/1/", "/hosts/1/confirm-rebooted/", "/password/"]


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_the_sign_in_page(path: str, centre: Centre, client: Client) -> None:
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/?next=")


def test_a_person_signs_in_and_out(centre: Centre, client: Client) -> None:
    add_person("ann", Role.VIEWER)
    form = {"login": "ann", "password": "a long pass phrase"}
    assert client.post("/sign-in/", form)["Location"] == "/"
    assert client.get("/").status_code == 200
    asked = client.get("/sign-out/")  # typed, or kept as a bookmark: nobody is signed out by it
    assert b'<form method="post">' in asked.content
    assert client.get("/").status_code == 200
    assert client.post("/sign-out/").status_code == 302
    assert client.get("/").status_code == 302
    assert client.get("/sign-out/")["Location"] == "/sign-in/"


def test_a_wrong_password_is_told_and_after_eight_the_door_is_shut(
    centre: Centre, client: Client
) -> None:
    add_person("ann", Role.VIEWER)
    wrong = {"login": "ann", "password": "no"}
    assert b"Name or password is wrong" in client.post("/sign-in/", wrong).content
    for _ in range(8):
        last = client.post("/sign-in/", wrong)
    assert last.status_code == 429
    assert b"reset-access" in last.content
    right = {"login": "ann", "password": "a long pass phrase"}
    assert client.post("/sign-in/", right).status_code == 429


def test_the_overview_shows_hosts_vms_and_that_ha_is_armed(viewer: Client) -> None:
    text = viewer.get("/").content.decode()
    for words in ("node1", "web1", "HA armed", "not responding", "Nothing needs you"):
        assert words in text


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_a_fragment_without_a_page_around_it(name: str, viewer: Client) -> None:
    answer = viewer.get(f"/parts/{name}/")
    assert answer.status_code == 200
    assert b"<html" not in answer.content


def test_an_empty_portal_says_what_to_do(db: None, client: Client) -> None:
    client.force_login(add_person("a", Role.ADMIN), "django.contrib.auth.backends.ModelBackend")
    text = client.get("/").content.decode()
    for words in ("No hosts yet", "No VMs yet", "No incident so far", "no engine"):
        assert words in text


def test_what_needs_a_person_comes_first_with_its_cure(centre: Centre, operator: Client) -> None:
    now, pk = clock.now(), centre.node2.pk
    raise_alert(AlertKind.HOST_NOT_RESPONDING, pk, 0, "silent", now)
    raise_alert(AlertKind.BMC_UNREACHABLE, pk, 0, "no answer", now)
    raise_alert(AlertKind.CONFIRM_REBOOT, pk, 0, "no proof", now)
    text = operator.get("/parts/attention/").content.decode()
    assert text.index("no proof") < text.index("no answer")
    assert "Go and look at the machine" in text
    assert "silent" not in text  # the demand for a person says more
    assert f"/hosts/{pk}/confirm-rebooted/" in text


def test_a_repaired_bmc_can_be_asked_at_once(centre: Centre, operator: Client) -> None:
    raise_alert(AlertKind.BMC_AUTH, centre.node2.pk, 0, "refused", clock.now())
    text = operator.get("/parts/attention/").content.decode()
    assert "Ask its BMC now" in text
    assert f"/hosts/{centre.node2.pk}/actions/fence/" in text


def test_a_viewer_is_offered_no_button(centre: Centre, viewer: Client) -> None:
    raise_alert(AlertKind.CONFIRM_REBOOT, centre.node2.pk, 0, "no proof", clock.now())
    raise_alert(AlertKind.BMC_AUTH, centre.node2.pk, 0, "refused", clock.now())
    text = viewer.get("/").content.decode()
    assert "data-action" not in text
    assert "confirm-rebooted/" not in text


def test_a_narrow_role_sees_only_its_own(centre: Centre, client: Client) -> None:
    user = add_person("narrow", Role.OPERATOR, "host", centre.node1.pk)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    text = client.get("/").content.decode()
    assert "node1" in text
    assert "db1" in text
    assert "node2" not in text
    assert "web1" not in text


LISTS = ["/", "/hosts/", "/vms/", "/clusters/", "/power-controllers/", "/incidents/"]
LISTS += ["/operations/", "/events/", "/hosts/1/", "/vms/1/", "/clusters/1/"]


def _queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(path).status_code == 200
    return len(seen)


@pytest.mark.parametrize("path", LISTS)
def test_pages_cost_the_same_for_many_as_for_few(
    path: str, centre: Centre, operator: Client
) -> None:
    path = path.replace("/hosts/1/", f"/hosts/{centre.node1.pk}/")
    path = path.replace("/vms/1/", f"/vms/{centre.db1.pk}/")
    path = path.replace("/clusters/1/", f"/clusters/{centre.cluster.pk}/")
    _more(centre, "few", 2)
    few = _queries(operator, path)
    _more(centre, "many", 9)
    assert _queries(operator, path) == few


def _more(centre: Centre, name: str, count: int) -> None:
    for number in range(count):
        host = add_host(f"{name}{number}", centre.cluster)
        add_vm(f"vm-{name}{number}", centre.cluster, centre.node1)
        raise_alert(AlertKind.FENCE_FAILED, host.pk, 0, "failed", clock.now())
        open_incident(host.pk, clock.now())
        note_done(centre.node1, "probe", "looked", actor="otto", now=clock.now())
        at = {"requested_at": clock.now(), "due_at": clock.now()}
        VmOperation.objects.create(vm=centre.db1, host=host, kind="start", state="done", **at)


@pytest.fixture
def incident(centre: Centre) -> Incident:
    """Return an incident of node2 with a decision, evidence and an end."""
    now = clock.now()
    found = open_incident(centre.node2.pk, now)
    record_event(
        "run.proof",
        "web1: its run is over",
        now=now,
        host=centre.node2.pk,
        vm=centre.web1.pk,
        incident=found.pk,
        rule="row 2",
        evidence={"controllers": [{"state": "off", "off_reads": 2}], "note": "<script>x</script>"},
    )
    return found


def test_an_incident_tells_what_happened_by_which_rule_and_evidence(
    incident: Incident, viewer: Client
) -> None:
    text = viewer.get(f"/incidents/{incident.pk}/").content.decode()
    for words in ("web1: its run is over", "Row 2", "off reads", "under way", "Running for"):
        assert words in text
    assert "<script>x" not in text
    close_incident(incident, "failed_over", "web1 on node1", clock.now())
    text = viewer.get(f"/incidents/{incident.pk}/").content.decode()
    for words in ("failed over", "web1 on node1", "Took"):
        assert words in text


def test_an_incident_of_another_scope_is_absent(incident: Incident, client: Client) -> None:
    user = add_person("narrow", Role.VIEWER, "host", Incident.objects.get().pk + 1000)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    assert client.get(f"/incidents/{incident.pk}/").status_code == 404


def test_errors_look_like_pages_for_people_and_problems_for_programs(viewer: Client) -> None:
    page = viewer.get("/nothing/here/")
    assert page.status_code == 404
    assert b"To the overview" in page.content
    program = viewer.get("/api/v1/nothing/")
    assert program.status_code == 404
    assert program["Content-Type"] == "application/problem+json"


def test_a_form_without_its_token_is_refused_kindly(centre: Centre) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/sign-in/", {"login": "a", "password": "b"})
    assert answer.status_code == 403
    assert b"reload the page" in answer.content


class Inline(HTMLParser):
    """Collects what the strict policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("path", ["/", "/sign-in/", "/nothing/", "/password/"])
def test_no_page_has_inline_script_or_style(path: str, viewer: Client) -> None:
    answer = viewer.get(path)
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    page = Inline()
    page.feed(answer.content.decode())
    assert page.found == []


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("host", HostStatus),
        ("ha", HaState),
        ("vm", VmState),
        ("power", PowerState),
        ("power", PowerProblem),
    ],
)
def test_every_state_has_icon_colour_and_words(kind: str, values: Any) -> None:
    assert [value for value in values if value not in LOOKS[kind]] == []


def test_every_icon_that_is_used_is_in_the_sprite() -> None:
    folder = Path(settings.BASE_DIR)
    sprite = (folder / "static/vendor/icons.svg").read_text()
    used = {look[0] for table in LOOKS.values() for look in table.values()}
    for template in (folder / "templates").rglob("*.html"):
        used |= set(re.findall(r'{% icon "([a-z0-9-]+)"', template.read_text()))
    assert [name for name in used if f'id="{name}"' not in sprite] == []


def test_durations_and_evidence_are_written_for_people() -> None:
    assert [span(value) for value in (4.24, 65, 7380)] == ["4.2 s", "1 min 5 s", "2 h 3 min"]
    told = evidence({"asked_at": "2026-01-02T03:04:05.678901+00:00", "identity": Identity.PROVEN})
    assert "<dt>asked at</dt><dd>03:04:05.6 UTC</dd>" in told
    assert "proven" in told


@pytest.mark.parametrize("path", ["/", "/api/v1/hosts/", "/api/v1/power-controllers/"])
def test_a_lost_key_file_breaks_no_page(path: str, centre: Centre, viewer: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE fencing_powercontroller SET password = 'gAAAAbroken'")
    assert viewer.get(path).status_code == 200
    dialog = f"/hosts/{centre.node2.pk}/confirm-rebooted/"
    viewer.force_login(add_person("otto", Role.OPERATOR), settings.AUTHENTICATION_BACKENDS[1])
    assert viewer.get(dialog).status_code == 200
