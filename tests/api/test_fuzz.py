"""Nonsense at every address of the schema: never a server error, always a problem with a cure."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from tests.api.conftest import Centre, problem
from tests.vms.conftest import either

__all__ = ["either"]

HUGE = 99999999999999999999999
TEXTS = [
    str(HUGE), "-1", "9223372036854775807", "9223372036854775808", "1e999", "0x10", "²", "٣", "\0",
    "a\0b", "a" * 10_000, "a " * 5_000, "1," * 4_000, "Grüße\u202e🙂", "", " ", "true", "NaN",
    "%", "'\"", "../..", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00+23:00",
]  # fmt: skip
NESTED: Any = []
for _ in range(60):
    NESTED = [NESTED]
#: Values of every JSON type for every field; each must be taken or refused in plain words.
VALUES: list[Any] = [
    None, True, -1, 0, HUGE, -HUGE, 2**31, 2**63, 1.5, 1e300, "", " ", "x\0y", "\ud800",
    "a" * 300, "a" * 100_000, "²", str(HUGE), [], ["a"], [[]], {}, {"a": 1}, {"": None},
    {"a\0b": "c\0d"}, {"\udfff": 1}, {"grace": HUGE}, NESTED,
]  # fmt: skip
#: Bodies that are wrong as a whole.
BODIES = [
    b"", b"{", b"[]", b"null", b"0", b"true", b'"text"', b"\xff\xfe", b"{}{}", b"[" * 100_000,
    b'{"a":' * 100_000, b'{"name": NaN}', b'{"policy": {"grace": Infinity}}',
    b'{"name": -Infinity}', b'{"policy": {"grace": 1e999}}', b'{"name": "a", "name": "b"}',
    b"9" * 10_000, b'{"\\ud800": 1}', b'\xef\xbb\xbf{"name": "x"}',
    '{"name": "x"}'.encode("utf-16"), b"[" * 400 + b"]" * 400,
]  # fmt: skip
TYPES = [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "multipart/form-data", "application/xml", "", "nonsense", "application/json; charset=utf-16",
    "application/json; charset=hex", "application/json; charset=nonsense",
    "application/json; charset=idna",
]  # fmt: skip
#: A good value of each field: what is wrong is then reached by every check behind the first.
GOOD = {
    "name": "new1", "uri": "qemu+tls://new1/system", "memory_mib": 1024, "vcpus": 1,
    "driver": "ipmi", "address": "192.0.2.77", "username": "admin", "password": "secret",
    "host_name": "node2", "reason": "I looked", "action": "status", "scope": "viewer", "days": 1,
    "policy": {},
}  # fmt: skip


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The API as it describes itself: what is added to it is tried here too."""
    target = tmp_path_factory.mktemp("schema") / "schema.json"
    call_command("spectacular", "--format", "openapi-json", "--file", str(target))
    made: dict[str, Any] = json.loads(target.read_text())
    return made


@pytest.fixture
def client(centre: Centre, admin: APIClient) -> APIClient:
    """An administrator, who is told 500 as anybody would be."""
    admin.raise_request_exception = False
    return admin


def calls(schema: dict[str, Any], method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every path that knows a method."""
    for path, methods in schema["paths"].items():
        if method in methods:
            yield path, methods[method]


def fields_of(schema: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a body may have."""
    content = call.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return {}
    name = content["schema"]["$ref"].rpartition("/")[2]
    found: dict[str, Any] = schema["components"]["schemas"][name].get("properties", {})
    return {key: value for key, value in found.items() if not value.get("readOnly")}


def filled(path: str, client: APIClient) -> str:
    """Return a path with the id of something that is there."""
    if "{id}" not in path:
        return path
    rows = client.get(path.partition("{id}")[0]).json()["results"]
    return path.replace("{id}", str(rows[0]["id"]) if rows else "1")


class Faults(list[str]):
    """What was answered badly, told all at once at the end of a test."""

    def look(self, answer: Any, *said: Any) -> None:
        """Take down an answer that is neither a success nor a problem to act upon."""
        whole = " ".join(str(word) for word in said)
        try:
            assert answer.status_code < 500, answer.content[:300]
            if answer.status_code >= 400:
                told = problem(answer, answer.status_code)
                assert len(told["detail"]) < 2000, "a very long text"
        except (AssertionError, ValueError, KeyError) as error:
            self.append(f"{answer.status_code} {whole}: {str(error)[:300]}")


def send(client: APIClient, method: str, path: str, body: Any, **headers: str) -> Any:
    """Send a body as it is."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = named.pop("content-type", "application/json")
    return client.generic(method.upper(), path, body, kind, headers={"If-Match": "*"} | named)


def test_the_schema_lists_what_is_tried_here(schema: dict[str, Any]) -> None:
    found = {method: len(list(calls(schema, method))) for method in ("get", "post", "patch")}
    assert found == {"get": 24, "post": 24, "patch": 4}


def test_no_parameter_of_a_list_is_a_server_error(
    either: str, schema: dict[str, Any], client: APIClient
) -> None:
    faults = Faults()
    for path, call in calls(schema, "get"):
        where = filled(path, client)
        for item in call.get("parameters", []):
            if item["in"] != "query":
                continue
            name = item["name"]
            for text in TEXTS:
                faults.look(client.get(where, {name: text}), path, name, text[:40])
            faults.look(client.get(where, {name: ["1", "²"]}), path, name, "repeated")
    assert not faults, "\n".join(faults)


def test_no_id_in_a_path_is_a_server_error(
    either: str, schema: dict[str, Any], client: APIClient
) -> None:
    faults = Faults()
    ids = [quote(text, safe="") for text in (*TEXTS, f"vm-{HUGE}", "vm-²", "host-1") if text]
    for method in ("get", "post", "patch", "delete"):
        for path, _ in calls(schema, method):
            for text in ids if "{id}" in path else ():
                answer = send(client, method, path.replace("{id}", text), b"{}")
                faults.look(answer, method, path, text[:40])
    assert not faults, "\n".join(faults)


def test_no_value_of_a_field_is_a_server_error(
    either: str, schema: dict[str, Any], centre: Centre, client: APIClient
) -> None:
    faults = Faults()
    usual = GOOD | {"cluster": centre.cluster.pk, "host": centre.node2.pk}
    for method in ("post", "patch"):
        for path, call in calls(schema, method):
            known = fields_of(schema, call)
            where = filled(path, client)
            good = {name: usual[name] for name in known if name in usual and method == "post"}
            for name in known:
                for value in VALUES:
                    answer = send(client, method, where, json.dumps(good | {name: value}))
                    faults.look(answer, method, path, name, repr(value)[:60])
    for path, _ in calls(schema, "get"):
        faults.look(client.get(filled(path, client)), path, "afterwards")
    assert not faults, "\n".join(faults)


def test_no_body_is_a_server_error(schema: dict[str, Any], client: APIClient) -> None:
    faults = Faults()
    for method in ("post", "patch"):
        for path, _ in calls(schema, method):
            where = filled(path, client)
            for body in BODIES:
                faults.look(send(client, method, where, body), method, path, body[:40])
            for kind in TYPES:
                for body in (b"a=b", b"{}"):
                    answer = send(client, method, where, body, content_type=kind)
                    faults.look(answer, method, path, kind, body)
    assert not faults, "\n".join(faults)


def test_no_header_is_a_server_error(
    either: str, schema: dict[str, Any], client: APIClient
) -> None:
    faults = Faults()
    texts = [text.encode().decode("latin-1") for text in TEXTS]
    for method in ("post", "patch"):
        for path, call in calls(schema, method):
            where = filled(path, client)
            for item in call.get("parameters", []):
                for text in texts if item["in"] == "header" else ():
                    answer = send(client, method, where, b"{}", **{item["name"]: text})
                    faults.look(answer, method, path, item["name"], text[:40])
    assert not faults, "\n".join(faults)
