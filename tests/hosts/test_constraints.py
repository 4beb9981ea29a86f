"""What the database refuses about hosts, by raw SQL on both databases."""

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from hosts.models import Cluster, Host, HostOperation

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def hosts(either: str) -> list[Host]:
    """Two hosts, the first with a UUID."""
    cluster = Cluster.objects.create(name="main")
    return [
        Host.objects.create(
            name=name, uri=f"qemu+tls://{name}/system", cluster=cluster, host_uuid=known,
            status_since=T0, look_due_at=T0,
        )
        for name, known in (("node1", "u1"), ("node2", ""))
    ]  # fmt: skip


def update(host: Host, column: str, value: str | int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        sql = f'UPDATE hosts_host SET "{column}" = %s WHERE id = %s'  # noqa: S608 - fixed names
        cursor.execute(sql, [value, host.pk])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("host_uuid", "u1"),
        ("uri", "qemu+tls://node1/system"),
        ("name", "node1"),
        ("memory_mib", -1),
        ("vcpus", -1),
    ],
)
def test_a_host_like_another_or_with_less_than_nothing_is_refused(
    hosts: list[Host], column: str, value: str | int
) -> None:
    with pytest.raises(IntegrityError):
        update(hosts[1], column, value)


def test_hosts_that_were_never_seen_may_all_be_without_a_uuid(hosts: list[Host]) -> None:
    update(hosts[0], "host_uuid", "")


def test_one_operation_of_a_kind_is_open_for_a_host(hosts: list[Host]) -> None:
    fields = {"host": hosts[0], "kind": "evacuate", "requested_at": T0, "due_at": T0}
    HostOperation.objects.create(**fields, state="waiting")
    with pytest.raises(IntegrityError), transaction.atomic():
        HostOperation.objects.create(**fields)
    HostOperation.objects.create(**fields, state="failed")
