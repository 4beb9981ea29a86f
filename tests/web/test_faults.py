"""The fault panel exists only in the demo, and passes on only words of the box."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client, RequestFactory

from portal.core.models import Role, User
from portal.demo.views import faults
from portal.views.parts import everything
from tests.api.conftest import Centre, add_person


def test_without_the_demo_there_is_no_fault_panel(operator: Client) -> None:
    assert operator.get("/demo/faults/").status_code == 404
    assert "Break something" not in operator.get("/").content.decode()


def ask(user: User, body: Any = None) -> Any:
    """Call the panel as ``user``: shown without a body, used with one."""
    maker = RequestFactory()
    request = maker.get("/demo/faults/")
    if body is not None:
        text = body if isinstance(body, str) else json.dumps(body)
        request = maker.post("/demo/faults/", text, content_type="application/json")
    request.user = user
    return faults(request)


@pytest.fixture
def breaker(db: None, settings: Any, tmp_path: Path) -> User:
    """Return an operator of a demo whose box does not run."""
    settings.DEMO_DIR = str(tmp_path)
    return add_person("otto", Role.OPERATOR)


def test_a_box_that_is_not_running_is_said_so(breaker: User) -> None:
    assert b"the box is not running" in ask(breaker).content
    told = ask(breaker, {"do": "host.hang", "host": "node1"})
    assert told.status_code == 503
    assert json.loads(told.content)["cure"]


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        "{",
        "[]",
        {},
        {"do": "rm"},
        {"do": "box.wipe"},
        {"do": "host.hang", "deadline": 9},
        {"do": 7},
    ],
)
def test_what_is_no_fault_is_refused(body: Any, breaker: User) -> None:
    assert ask(breaker, body).status_code == 400


def test_a_viewer_breaks_nothing(breaker: User) -> None:
    with pytest.raises(PermissionDenied):
        ask(add_person("vera", Role.VIEWER), {"do": "host.hang", "host": "node1"})


@pytest.mark.parametrize(("role", "offered"), [(Role.OPERATOR, True), (Role.VIEWER, False)])
def test_only_who_may_break_is_offered_the_panel(
    role: Role, offered: bool, centre: Centre, settings: Any, tmp_path: Path
) -> None:
    settings.DEMO_DIR = str(tmp_path)
    request = RequestFactory().get("/")
    request.user = add_person("ann", role)
    assert everything(request)["may_break"] is offered
