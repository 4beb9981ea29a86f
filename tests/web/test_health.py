"""What machines ask about the portal's health, without signing in."""

import pytest
from django.test import Client

from tests.api.conftest import Centre


def test_health_names_each_check(db: None, client: Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    answer = client.get("/readyz")
    checks = answer.json()["checks"]
    assert answer.status_code == 503  # the tests have no Redis
    assert {name for name, check in checks.items() if check["ok"]} == {
        "database",
        "migrations",
        "key_file",
    }
    assert "HOLDFAST_REDIS" in checks["redis"]["text"]


def test_an_engine_that_no_longer_sweeps_is_not_ready(
    db: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_EPOCH", "1")
    assert client.get("/readyz").json()["checks"]["sweep"]["ok"] is False


def test_metrics_count_states(centre: Centre, client: Client) -> None:
    text = client.get("/metrics").content.decode()
    assert 'holdfast_hosts{status="up"} 2' in text
    assert "holdfast_incidents_open 0" in text
