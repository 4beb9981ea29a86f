"""Two who write at the same moment: PostgreSQL undoes one of them, and its asker is told so."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from django.db import connection, connections
from rest_framework.test import APIClient

from hosts.models import Host
from portal.core.services import _CHAIN_LOCK
from tests.api.conftest import API, Centre, problem
from tests.waiting import wait_for

_WAITERS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_whoever_gives_way_in_a_deadlock_is_told_to_ask_again(
    transactional_db: None, postgres_default: str, centre: Centre, admin: APIClient
) -> None:
    admin.raise_request_exception = False
    path = f"{API}/hosts/{centre.node1.pk}/actions/maintenance/"

    def ask() -> Any:
        try:
            return admin.post(path, {}, format="json")
        finally:
            connections.close_all()

    with (
        psycopg.connect(**connection.get_connection_params()) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("SET LOCAL deadlock_timeout = '60s'")  # the portal notices first
        other.execute("SELECT pg_advisory_xact_lock(%s)", [_CHAIN_LOCK])
        asked = pool.submit(ask)
        wait_for(lambda: other.execute(_WAITERS).fetchone() == (1,), 10, "the portal to wait")
        other.execute("UPDATE hosts_host SET version = version WHERE id = %s", [centre.node1.pk])
        answer = asked.result(20)
        other.rollback()

    told = problem(answer, 503)
    assert "nothing was changed" in told["detail"]
    assert answer["Retry-After"] == "1"
    assert Host.objects.get(pk=centre.node1.pk).wanted == "active"
    assert admin.post(path, {}, format="json").status_code in (200, 202)
