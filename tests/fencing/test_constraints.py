"""What the database refuses about power, alerts and incidents, by raw SQL on both databases."""

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from fencing.models import Alert, FenceOperation, Incident, PowerController
from hosts.models import Cluster, Host

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def host(either: str) -> Host:
    """One host."""
    cluster = Cluster.objects.create(name="main")
    return Host.objects.create(
        name="node1", uri="qemu+tls://node1/system", cluster=cluster, status_since=T0,
        look_due_at=T0,
    )  # fmt: skip


def execute(sql: str, *values: str | int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_is_refused(host: Host, port: int) -> None:
    row = PowerController.objects.create(host=host, address="bmc1", username="admin")
    with pytest.raises(IntegrityError):
        execute("UPDATE fencing_powercontroller SET port = %s WHERE id = %s", port, row.pk)


def test_two_controllers_at_one_address_are_refused(host: Host) -> None:
    PowerController.objects.create(host=host, address="bmc1", username="admin")
    other = PowerController.objects.create(host=host, address="bmc2", username="admin")
    sql = "UPDATE fencing_powercontroller SET address = %s WHERE id = %s"
    with pytest.raises(IntegrityError):
        execute(sql, "bmc1", other.pk)


def test_two_systems_of_one_chassis_have_a_controller_each(host: Host) -> None:
    place = {"host": host, "address": "bmc1", "username": "admin", "driver": "redfish"}
    PowerController.objects.create(**place, options={"system": "1", "verify": "off"})
    PowerController.objects.create(**place, options={"system": "2", "verify": "off"})
    with pytest.raises(IntegrityError), transaction.atomic():
        PowerController.objects.create(**place, options={"system": "2"})


def test_one_fence_of_a_host_is_open(host: Host) -> None:
    fields = {"host": host, "kind": "fence", "requested_at": T0, "due_at": T0}
    FenceOperation.objects.create(**fields, state="acting")
    done = FenceOperation.objects.create(**fields, state="done")
    with pytest.raises(IntegrityError):
        execute("UPDATE fencing_fenceoperation SET state = 'waiting' WHERE id = %s", done.pk)


def test_one_alert_of_a_kind_is_open_for_a_subject(host: Host) -> None:
    fields = {"kind": "fence_failed", "host": host.pk, "text": "x", "opened_at": T0}
    Alert.objects.create(**fields)
    closed = Alert.objects.create(**fields, closed_at=T0)
    with pytest.raises(IntegrityError):
        execute("UPDATE fencing_alert SET closed_at = NULL WHERE id = %s", closed.pk)


@pytest.mark.parametrize("of_host", [True, False])
def test_one_incident_is_open_for_a_host_and_for_a_vm(host: Host, *, of_host: bool) -> None:
    fields = {"host": host if of_host else None, "vm": 0 if of_host else 7, "opened_at": T0}
    Incident.objects.create(**fields, title="one")
    closed = Incident.objects.create(**fields, title="two", closed_at=T0)
    with pytest.raises(IntegrityError):
        execute("UPDATE fencing_incident SET closed_at = NULL WHERE id = %s", closed.pk)
