"""Lists with many rows: every page is as quick as the first, and nothing is on two of them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from fencing.models import FenceOperation
from hosts.models import HostOperation
from portal.core.models import Operation, Role
from portal.lib import clock
from tests.api.conftest import API, Centre, add_person
from vms.models import Vm, VmOperation


def _work(table: type[Operation], minutes_ago: int, **target: Any) -> Operation:
    at = clock.now().replace(microsecond=0) - timedelta(minutes=minutes_ago)
    made: Operation = table._default_manager.create(
        kind="probe", state="done", requested_at=at, due_at=at, **target
    )
    return made


def test_operations_of_all_tables_are_paged_newest_first_and_each_once(
    centre: Centre, admin: APIClient
) -> None:
    for minutes in range(12):
        _work(HostOperation, 3 * minutes, host=centre.node1)
        _work(FenceOperation, 3 * minutes + 1, host=centre.node1)
        _work(VmOperation, 3 * minutes + 2, vm=centre.db1, host=centre.node1)
    pages = [
        admin.get(f"{API}/operations/?page_size=7&page={number}").json() for number in range(1, 7)
    ]
    rows = [row for page in pages for row in page["results"]]
    times = [row["at"] for row in rows]
    assert {page["count"] for page in pages} == {36}
    assert len({row["id"] for row in rows}) == 36
    assert times == sorted(times, reverse=True)
    assert [row["id"].split("-")[0] for row in rows[:3]] == ["host", "fence", "vm"]


def test_the_last_page_of_operations_loads_no_more_rows_than_the_first(
    centre: Centre, admin: APIClient
) -> None:
    for minutes in range(30):
        _work(VmOperation, minutes, vm=centre.db1, host=centre.node1)
    with CaptureQueriesContext(connection) as asked:
        last = admin.get(f"{API}/operations/?page_size=5&page=6").json()
    assert len(last["results"]) == 5
    whole = [query["sql"] for query in asked if '"steps"' in query["sql"]]
    assert len(whole) == 1
    assert " IN (" in whole[0]


def test_lists_leave_the_xml_of_vms_in_the_database(centre: Centre, admin: APIClient) -> None:
    _work(VmOperation, 1, vm=centre.db1, host=centre.node1)
    for path in ("vms", "runs", "operations"):
        with CaptureQueriesContext(connection) as asked:
            assert admin.get(f"{API}/{path}/").json()["results"]
        assert not [query for query in asked if '"xml",' in query["sql"]], path


def test_equal_rows_are_in_the_order_of_their_numbers_so_that_pages_do_not_overlap(
    centre: Centre, admin: APIClient
) -> None:
    with CaptureQueriesContext(connection) as seen:
        admin.get("/api/v1/hosts/?ordering=-status")
    assert re.search(r'ORDER BY "\w+"\."status" DESC, "\w+"\."id" ASC', str(seen.captured_queries))


@pytest.mark.parametrize("path", ["/api/v1/vms/", "/vms/"])
def test_a_uuid_is_searched_from_its_beginning_only(path: str, centre: Centre) -> None:
    Vm.objects.filter(pk=centre.web1.pk).update(uuid="1234567a-0db1-4000-8000-00000000db10")
    Vm.objects.filter(pk=centre.idle1.pk).update(uuid="99999999-0db1-4000-8000-000000000000")
    client = Client()
    backend = "django.contrib.auth.backends.ModelBackend"
    client.force_login(add_person("vera", Role.VIEWER), backend)

    def found(words: str) -> list[str]:
        text = client.get(path, {"search": words}).content.decode()
        return [row.name for row in Vm.objects.all() if re.search(f'[">]{row.name}["<]', text)]

    assert found("db1") == ["db1"]
    assert found("1234567A") == ["web1"]
    assert found("1234567a-0db1-4000-8000-00000000db10") == ["web1"]
