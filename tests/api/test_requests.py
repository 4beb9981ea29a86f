"""Requests that are wrong as a whole: too long, nested without end, of no known length or type."""

from base64 import b64encode
from typing import Any

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from hosts.models import Cluster
from portal.core.models import ApiToken, IdempotencyKey, Role
from portal.lib import clock
from tests.api.conftest import API, Centre, add_person, problem

LIMIT = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def post(client: APIClient, body: bytes, kind: str = "application/json", **headers: str) -> Any:
    """Post a body as it is to the clusters, as somebody who is told 500."""
    client.raise_request_exception = False
    return client.generic("POST", f"{API}/clusters/", body, kind, headers=headers)  # type: ignore[arg-type]  # bytes are sent as they are


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"[" * 100_000, "nested"),
        (b'{"name": ' * 500 + b"1" + b"}" * 500, "nested"),
        (b'{"policy": ' * 30 + b"1" + b"}" * 30, "nested"),
        (b'{"name": "x", "name": "y"}', "twice"),
        (b'{"name": "x\\u0000"}', "NUL"),
        (b'{"name": "\\ud800"}', "half a character"),
        (b'{"name": "\xe9"}', "UTF-8"),
        (b'{"policy": {"grace": NaN}}', "NaN"),
        (b'{"policy": {"grace": 1e999}}', "1e999"),
        (b"{", "no JSON"),
        (b"[]", "dictionary"),
    ],
)
def test_a_body_that_cannot_be_taken_says_what_is_wrong_with_it(
    body: bytes, word: str, centre: Centre, admin: APIClient
) -> None:
    told = problem(post(admin, body), 400)
    assert told["field"] in ("body", "name")
    assert word in told["detail"]
    assert Cluster.objects.count() == 2


@pytest.mark.parametrize(
    "kind",
    ["application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"],
)
def test_a_body_beyond_the_limit_is_413_with_the_limit(
    kind: str, centre: Centre, admin: APIClient
) -> None:
    answer = post(admin, b'{"name": "' + b"a" * LIMIT + b'"}', kind)
    if kind == "application/json":
        told = problem(answer, 413, "body")
        assert str(LIMIT) in told["cure"]
    else:
        problem(answer, 415)


def test_a_body_of_unknown_length_is_not_taken_for_none(centre: Centre, admin: APIClient) -> None:
    told = problem(post(admin, b"", **{"Transfer-Encoding": "chunked"}), 411)
    assert "Content-Length" in told["cure"]


def test_a_body_is_utf8_whatever_its_type_says(centre: Centre, admin: APIClient) -> None:
    for charset in ("utf-16", "hex", "bz2_codec", "nonsense"):
        body = f'{{"name": "Zürich {charset}"}}'.encode()
        answer = post(admin, body, f"application/json; charset={charset}")
        assert answer.status_code == 201, answer.content
    assert Cluster.objects.filter(name__startswith="Zürich").count() == 4


def test_a_token_that_is_no_text_is_401(centre: Centre) -> None:
    client = APIClient(raise_request_exception=False)
    for word in ("\xff\xfe", "a" * 5000, "x y"):
        told = problem(
            client.get(f"{API}/hosts/", headers={"Authorization": f"Bearer {word}"}),
            401,
            "Authorization",
        )
        assert "Bearer" in told["cure"]


def test_a_browser_that_forgot_its_csrf_token_is_told_which_header_is_missing(
    centre: Centre,
) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(add_person("ada", Role.ADMIN), settings.AUTHENTICATION_BACKENDS[1])
    told = problem(browser.post(f"{API}/clusters/", {"name": "new"}, format="json"), 403)
    assert told["code"] == "csrf"
    assert "X-CSRFToken" in told["cure"]
    assert "role" not in told["cure"]


def test_the_last_use_of_a_token_is_known_to_the_minute(centre: Centre) -> None:
    _, secret = ApiToken.objects.create(user=add_person("bob"), name="b", scope="viewer")
    client = APIClient(headers={"Authorization": f"Bearer {secret}"})
    client.get(f"{API}/tokens/")
    before = ApiToken.objects.get(name="b").last_used
    assert before is not None
    assert abs((clock.now() - before).total_seconds()) < 60
    client.get(f"{API}/tokens/")
    assert ApiToken.objects.get(name="b").last_used == before


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("hosts/?page=0", 404, "page"),
        ("hosts/?page=²", 404, "page"),
        ("hosts/?page=99", 404, "page"),
        ("hosts/?page_size=many", 400, "page_size"),
        ("hosts/?page_size=0", 400, "page_size"),
        ("events/?page_size=-1", 400, "page_size"),
        ("hosts/?page_size=201", 400, "page_size"),
        ("events/?page_size=100000", 400, "page_size"),
        ("operations/?page_size=100000", 400, "page_size"),
        ("vms/?cursor=xx", 400, "cursor"),
        ("events/?page=2", 400, "page"),
        ("hosts/?ordering=colour", 400, "ordering"),
        ("events/?ordering=evidence", 400, "ordering"),
        ("hosts/?search=" + "a+" * 200, 400, "search"),
        ("hosts/?search=%00", 400, "search"),
        ("vms/?host=99999999999999999999999", 400, "host"),
        ("vms/?host=-1", 400, "host"),
        ("vms/?cluster=99999999999999999999999", 400, "cluster"),
        ("vms/?ha=maybe", 400, "ha"),
        ("runs/?open=²", 400, "open"),
        ("alerts/?host=99999999999999999999999", 400, "host"),
        ("events/?vm=²", 400, "vm"),
        ("events/?since=0001-01-01T00:00:00%2B23:00", 400, "since"),
        ("operations/?vm=²", 400, "vm"),
        ("operations/?host=99999999999999999999999", 400, "host"),
        ("operations/?state=colour", 400, "state"),
        ("operations/?kind=%00", 400, "kind"),
        ("operations/host-99999999999999999999999/", 404, ""),
        ("hosts/99999999999999999999999/", 404, ""),
    ],
)
def test_a_wrong_parameter_is_named(
    query: str, status: int, field: str, centre: Centre, admin: APIClient
) -> None:
    problem(admin.get(f"{API}/{query}"), status, field)


@pytest.mark.parametrize("place", ["p=abc", "p=99999999999999999999", "o=-1", "p=%00", "\xff"])
def test_a_cursor_made_up_is_no_place(place: str, centre: Centre, admin: APIClient) -> None:
    cursor = b64encode(place.encode("latin-1")).decode()
    problem(admin.get(f"{API}/events/", {"cursor": cursor}), 404, "cursor")


def test_a_list_is_narrowed_by_yes_and_no(centre: Centre, admin: APIClient) -> None:
    for query, count in (("open=true", 2), ("open=FALSE", 0), ("open=", 2), ("", 2)):
        assert admin.get(f"{API}/runs/?{query}").json()["count"] == count, query


def test_more_parameters_than_anybody_needs_are_a_problem(centre: Centre, admin: APIClient) -> None:
    problem(admin.get(f"{API}/hosts/?" + "a=1&" * 2000), 400)


def test_an_unknown_host_header_is_a_problem_for_programs(centre: Centre) -> None:
    answer = APIClient().get(f"{API}/hosts/", headers={"Host": "evil.example"})
    assert "HOLDFAST_ALLOWED_HOSTS" in problem(answer, 400)["cure"]


def test_an_answer_in_another_form_than_json_is_not_to_be_had(
    centre: Centre, admin: APIClient
) -> None:
    problem(admin.get(f"{API}/hosts/", headers={"Accept": "text/csv"}), 406)


CREATED = [
    ("clusters", {"name": "new"}),
    ("hosts", {"name": "n9", "uri": "qemu+tls://n9/system", "cluster": 0}),
    ("vms", {"name": "v9", "memory_mib": 1, "vcpus": 1, "cluster": 0}),
    ("power-controllers", {"address": "192.0.2.9", "username": "a", "password": "b", "host": 0}),
]


@pytest.mark.parametrize(("resource", "fields"), CREATED)
def test_a_row_is_entered_once_under_its_key(
    resource: str, fields: dict[str, Any], centre: Centre, admin: APIClient
) -> None:
    known = {"cluster": centre.cluster.pk, "host": centre.node1.pk}
    whole = {name: known.get(name, value) for name, value in fields.items()}
    headers = {"Idempotency-Key": "k1"}
    first, second = (
        admin.post(f"{API}/{resource}/", whole, format="json", headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 201), second.content
    assert second.json() == first.json()
    assert second["Idempotency-Replayed"] == "true"
    answer = admin.post(f"{API}/{resource}/", whole | {"x": 1}, format="json", headers=headers)
    problem(answer, 422, "Idempotency-Key")


def test_what_is_kept_under_a_key_tells_no_password(centre: Centre, admin: APIClient) -> None:
    fields = {"address": "192.0.2.9", "username": "a", "password": "b", "host": centre.node1.pk}
    headers = {"Idempotency-Key": "k1"}
    admin.post(f"{API}/power-controllers/", fields, format="json", headers=headers)
    assert "password" not in IdempotencyKey.objects.get().answer["body"]
