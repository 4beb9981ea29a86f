"""Addresses: without the last slash nothing is lost, and the documentation can be read."""

import re

import pytest
from django.test import Client
from rest_framework.test import APIClient

from hosts.models import Cluster
from tests.api.conftest import API, Centre, problem


@pytest.mark.parametrize("method", ["post", "patch", "delete", "put"])
def test_a_call_without_its_slash_is_told_so(method: str, centre: Centre, admin: APIClient) -> None:
    answer = getattr(admin, method)(f"{API}/clusters", {"name": "new"}, format="json")
    assert f"{API}/clusters/" in problem(answer, 404)["cure"]
    assert Cluster.objects.count() == 2
    assert "slash" not in problem(admin.post(f"{API}/nothing", {}, format="json"), 404)["cure"]


def test_a_look_without_its_slash_is_led_on(centre: Centre, admin: APIClient) -> None:
    assert admin.get(f"{API}/clusters")["Location"] == f"{API}/clusters/"


def test_the_documentation_explains_how_to_begin(centre: Centre, client: Client) -> None:
    page = client.get("/api/docs/")
    assert page.status_code == 200
    assert "script-src 'self'" in page["Content-Security-Policy"]
    sources = re.findall(r'<script[^>]* src="([^"]+)"', page.content.decode())
    assert len(sources) >= 3
    own = client.get(next(source for source in sources if "script" in source).replace("&amp;", "&"))
    assert own.status_code == 200
    assert b"/api/schema/" in own.content
    text = client.get("/api/schema/").content.decode()
    for word in ("Bearer", "If-Match", "Idempotency-Key", "operation", "problem+json", "page_size"):
        assert word in text
