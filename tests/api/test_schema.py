"""The API answers as its own document says, whatever it is sent, whoever asks.

schemathesis draws requests from the document, good and bad ones, for every
operation and role.  Three of each are drawn here; to look further:
``FUZZ_EXAMPLES=200 make test ARGS="tests/api/test_schema.py"``.
"""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from rest_framework.test import APIClient
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from portal.core.models import ApiToken, User
from tests.api.conftest import Speaks
from tests.api.full import Full, full

__all__ = ["full"]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DRAWN = hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a fault is told as it is found: shrinking costs more than it tells
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def one_transaction() -> Iterator[None]:
    """Take back what a request does; the server would close the test's connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def read(schema: dict[str, Any]) -> Any:
    """Return a document as schemathesis reads it; keys are ours, not drawn."""
    made = GenerationConfig(with_security_parameters=False)
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=made)))
    loaded = schemathesis.openapi.from_dict(schema, config=config)
    loaded.app = get_wsgi_application()
    return loaded


def operations(document: Any) -> Iterator[Any]:
    """Yield every operation of the document."""
    for found in document.get_all_operations():
        yield found.ok()


def there(operation: Any, client: APIClient) -> dict[str, Any]:
    """Return the id of something that is there, where a path asks for one."""
    if "{id}" not in operation.path:
        return {}
    rows = client.get(operation.path.partition("{id}")[0]).json().get("results", [])
    return {"path_parameters": {"id": rows[0]["id"]}} if rows else {}


def drawn(operation: Any, client: APIClient) -> Iterator[tuple[GenerationMode, Any]]:
    """Yield good requests about something that is there, and bad ones about it or about nothing."""
    known = {"headers": {"If-Match": "*"}} | there(operation, client)
    yield GenerationMode.POSITIVE, operation.as_strategy(GenerationMode.POSITIVE, **known)
    wrong = known if operation.body or operation.query else {}
    yield GenerationMode.NEGATIVE, operation.as_strategy(GenerationMode.NEGATIVE, **wrong)


def try_out(requests: Any, secret: str) -> None:
    """Draw requests and send them."""
    given_them: Any = given(requests)
    DRAWN(given_them(lambda case: ask(case, secret)))()


def ask(case: Any, secret: str) -> None:
    """Send one drawn request and compare the answer with the document; nothing stays."""
    headers = {"Authorization": f"Bearer {secret}"}
    with one_transaction():
        answer = case.call(base_url="http://testserver", headers=headers)
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_every_answer_is_one_that_the_document_knows(
    role: str, schema: dict[str, Any], full: Full, speaks: Speaks, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast
    client = speaks(role)
    _, secret = ApiToken.objects.create(user=User.objects.get(username=f"{role}-all-0"), scope=role)
    faults = []
    for operation in operations(read(schema)):
        for mode, requests in drawn(operation, client):
            try:
                try_out(requests, secret)
            except Unsatisfiable:
                # Nothing of such a call can be wrong; but a good one can always be drawn.
                if mode is GenerationMode.POSITIVE:
                    faults.append(f"{operation.label}: no request fits the document")
            except FailureGroup as error:
                faults.append(f"{operation.label} {mode}: {error}")
    assert not faults, "\n".join(faults)


def test_an_answer_that_the_document_does_not_know_is_noticed(
    schema: dict[str, Any], full: Full, speaks: Speaks
) -> None:
    lie = copy.deepcopy(schema)
    shape = lie["components"]["schemas"]["Engine"]
    shape["properties"]["epoch"] = {"type": "string"}
    speaks("viewer")
    user = User.objects.get(username="viewer-all-0")
    _, secret = ApiToken.objects.create(user=user, scope="viewer")
    operation = read(lie)["/api/v1/engines/"]["GET"]
    with pytest.raises(FailureGroup, match="violates schema"):
        try_out(operation.as_strategy(), secret)
