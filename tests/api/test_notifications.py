"""Notification targets and deliveries over REST."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from portal.core.models import Delivery, Event, IdempotencyKey, NotificationTarget
from portal.core.services import record_event
from portal.lib import clock
from portal.notify.services.collecting import collect
from tests.api.conftest import API, Centre, Speaks, problem

TARGETS, LOG = f"{API}/notification-targets/", f"{API}/deliveries/"
CANARY = "canary-secret-of-a-webhook"
HOOK = {"name": "ops", "kind": "webhook", "address": "http://127.0.0.1:9/x", "secret": CANARY}


def enter(client: APIClient, **fields: Any) -> dict[str, Any]:
    """Enter a target; return it as it is told."""
    answer = client.post(TARGETS, HOOK | fields, format="json")
    assert answer.status_code == 201, answer.content
    told: dict[str, Any] = answer.json()
    return told


def one(target: dict[str, Any]) -> str:
    """Return the address of a target."""
    return f"{TARGETS}{target['id']}/"


def happen(**more: Any) -> None:
    """Let something need a person, and enter its deliveries."""
    record_event("alert.no_room", "alert, no room: db1 has no home", now=clock.now(), **more)
    collect(clock.now())


@pytest.mark.parametrize(
    ("who", "status"),
    [
        (("", "all"), 401), (("stranger", "all"), 403), (("viewer", "all"), 403),
        (("operator", "all"), 403), (("admin", "cluster"), 403), (("admin", "host"), 403),
        (("admin", "all"), 200),
    ],
)  # fmt: skip
def test_only_an_administrator_of_everything_is_let_in(
    who: tuple[str, str], status: int, centre: Centre, speaks: Speaks, admin: APIClient
) -> None:
    role, kind = who
    target = enter(admin)
    happen()
    pk = {"cluster": centre.cluster.pk, "host": centre.node1.pk}.get(kind, 0)
    client = speaks(role, kind, pk)
    row = Delivery.objects.get()
    for path in (TARGETS, one(target), LOG, f"{LOG}{row.pk}/"):
        assert client.get(path).status_code == status, path
    if status != 200:
        for path in (TARGETS, f"{one(target)}actions/test/", f"{LOG}{row.pk}/actions/retry/"):
            problem(client.post(path, HOOK | {"name": "x"}, format="json"), status)
        problem(client.delete(one(target)), status)
        problem(client.patch(one(target), {"name": "x"}, format="json"), status)
    assert NotificationTarget.objects.count() == 1


def test_a_target_is_entered_read_changed_and_removed(centre: Centre, admin: APIClient) -> None:
    target = enter(admin, cluster=centre.cluster.pk, what="needs_person")
    assert target["enabled"]
    assert not target["failing"]
    tag = admin.get(one(target))["ETag"]
    problem(admin.patch(one(target), {"enabled": False}, format="json"), 428, "If-Match")
    changed = admin.patch(one(target), {"enabled": False}, format="json", headers={"If-Match": tag})
    assert changed.status_code == 200
    assert changed.json()["enabled"] is False
    stale = admin.patch(one(target), {"name": "y"}, format="json", headers={"If-Match": tag})
    problem(stale, 412)
    assert admin.delete(one(target)).status_code == 204
    assert NotificationTarget.objects.count() == 0
    kinds = Event.objects.filter(kind__startswith="notification.").values_list("kind", "actor")
    names = ["target_added", "target_edited", "target_removed"]
    assert list(kinds) == [(f"notification.{name}", "admin-all-0") for name in names]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"), ({"name": "a\tb"}, "name"), ({"kind": "pigeon"}, "kind"),
        ({"kind": "email", "address": "ops@x.example"}, "kind"), ({"address": "x"}, "address"),
        ({"address": "ftp://x/"}, "address"), ({"secret": "short"}, "secret"),
        ({"address": "http://169.254.169.254/"}, "address"), ({"what": "some"}, "what"),
        ({"cluster": 999}, "cluster"), ({"cluster": None}, "cluster"),
        ({"failures": 1}, "failures"), ({"secret": None}, "secret"), ({"colour": "red"}, "colour"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_cure(
    fields: dict[str, Any], field: str, centre: Centre, admin: APIClient
) -> None:
    problem(admin.post(TARGETS, HOOK | fields, format="json"), 400, field)
    assert NotificationTarget.objects.count() == 0


def test_a_webhook_needs_a_secret_and_a_name_of_its_own(centre: Centre, admin: APIClient) -> None:
    without = {name: value for name, value in HOOK.items() if name != "secret"}
    problem(admin.post(TARGETS, without, format="json"), 400, "secret")
    enter(admin)
    problem(admin.post(TARGETS, HOOK | {"name": "OPS"}, format="json"), 400, "name")


def test_a_mail_target_needs_a_mail_server_and_one_plain_address(
    centre: Centre, admin: APIClient, settings: Any
) -> None:
    mail = {"name": "ops", "kind": "email", "address": "ops@firm.example"}
    told = problem(admin.post(TARGETS, mail, format="json"), 400, "kind")
    assert "HOLDFAST_SMTP_URL" in told["detail"]
    settings.MAIL_SERVER = {"host": "127.0.0.1", "port": 9}
    for wrong in ("ops", "a@x.example, b@x.example", "a@x.example\nBcc: b@x.example", "A <a@x.de>"):
        problem(admin.post(TARGETS, mail | {"address": wrong}, format="json"), 400, "address")
    problem(admin.post(TARGETS, mail | {"secret": "x" * 20}, format="json"), 400, "secret")
    made = admin.post(TARGETS, mail, format="json")
    assert made.status_code == 201
    change = {"kind": "webhook"}
    path = one(made.json())
    problem(admin.patch(path, change, format="json", headers={"If-Match": "*"}), 400, "kind")


def test_the_secret_goes_in_and_never_comes_out(centre: Centre, admin: APIClient) -> None:
    made = admin.post(TARGETS, HOOK, format="json", headers={"Idempotency-Key": "k1"})
    again = admin.post(TARGETS, HOOK, format="json", headers={"Idempotency-Key": "k1"})
    assert again.headers["Idempotency-Replayed"] == "true"
    path = one(made.json())
    new = {"secret": f"{CANARY}-2"}
    changed = admin.patch(path, new, format="json", headers={"If-Match": "*"})
    bad = admin.patch(path, {"secret": CANARY, "x": 1}, format="json", headers={"If-Match": "*"})
    answers = [made, again, changed, bad, admin.get(TARGETS), admin.get(path)]
    assert not [answer for answer in answers if CANARY.encode() in answer.content]
    assert NotificationTarget.objects.get().secret == f"{CANARY}-2"
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM portal_notificationtarget")
        stored = str(cursor.fetchall())
    stored += str(list(IdempotencyKey.objects.values())) + str(list(Event.objects.values()))
    assert CANARY not in stored


def test_a_test_is_accepted_with_where_it_can_be_watched(centre: Centre, admin: APIClient) -> None:
    path = f"{one(enter(admin))}actions/test/"
    answer = admin.post(path, {}, format="json", headers={"Idempotency-Key": "t1"})
    assert answer.status_code == 202
    again = admin.post(path, {}, format="json", headers={"Idempotency-Key": "t1"})
    assert again["Location"] == answer["Location"]
    watched = admin.get(answer["Location"]).json()
    assert (watched["is_test"], watched["state"], watched["event_text"]) == (
        True,
        "requested",
        None,
    )
    assert Delivery.objects.count() == 1


def test_the_log_is_filtered_ordered_searched_and_shows_what_was_told(
    centre: Centre, admin: APIClient
) -> None:
    first, second = enter(admin), enter(admin, name="second")
    happen()
    happen()
    assert admin.get(LOG).json()["count"] == 4
    mine = admin.get(LOG, {"target": second["id"], "state": "requested"}).json()["results"]
    assert {row["target"] for row in mine} == {second["id"]}
    assert mine[0]["event_kind"] == "alert.no_room"
    assert "db1" in mine[0]["event_text"]
    by_event = admin.get(LOG, {"event": mine[0]["event"], "ordering": "at"}).json()
    assert {row["target"] for row in by_event["results"]} == {first["id"], second["id"]}
    assert admin.get(LOG, {"search": "db1"}).json()["count"] == 4
    assert admin.get(LOG, {"search": "nothing like it"}).json()["count"] == 0
    assert len(admin.get(LOG, {"page_size": 1, "page": 4}).json()["results"]) == 1
    problem(admin.get(LOG, {"colour": "red"}), 400, "colour")


def test_a_longer_log_takes_no_more_queries(centre: Centre, admin: APIClient) -> None:
    enter(admin)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert admin.get(LOG).status_code == 200
        return len(seen)

    happen()
    few = queries()
    for _ in range(10):
        happen()
    assert queries() == few


def test_what_failed_is_sent_again_and_what_arrived_is_not(
    centre: Centre, admin: APIClient
) -> None:
    enter(admin)
    happen()
    Delivery.objects.update(state="failed", message="m1", attempts=9, error_text="why")
    row = Delivery.objects.get()
    path = f"{LOG}{row.pk}/actions/retry/"
    assert admin.get(f"{LOG}{row.pk}/").json()["error"]["text"] == "why"
    answer = admin.post(path, {}, format="json")
    assert answer.status_code == 202
    assert answer["Location"].endswith(f"{LOG}{row.pk}/")
    assert (answer.json()["state"], answer.json()["message"]) == ("requested", "m1")
    Delivery.objects.update(state="done")
    problem(admin.post(path, {}, format="json"), 409)
    Delivery.objects.update(state="failed")
    NotificationTarget.objects.update(enabled=False)
    problem(admin.post(path, {}, format="json"), 409)
