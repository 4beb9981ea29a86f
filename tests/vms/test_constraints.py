"""What the database itself refuses, by raw SQL, on SQLite and on PostgreSQL alike."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from hosts.models import Cluster, Host
from vms.models import Disk, Proof, Run, Vm, VmOperation

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def rows(either: str) -> dict[str, Any]:
    """Two hosts, two VMs, an open run of the first on the first, and a spare proof."""
    cluster = Cluster.objects.create(name="main")
    hosts = [
        Host.objects.create(
            name=name, uri=f"qemu+tls://{name}/system", cluster=cluster,
            status_since=T0, look_due_at=T0,
        )
        for name in ("node1", "node2")
    ]  # fmt: skip
    vms = [
        Vm.objects.create(
            name=name, uuid=name, cluster=cluster, memory_mib=1, vcpus=1, state_since=T0
        )
        for name in ("web1", "web2")
    ]
    run = Run.objects.create(vm=vms[0], host=hosts[0], generation=1, started_at=T0)
    return {"cluster": cluster, "hosts": hosts, "vms": vms, "run": run}


def a_proof(rows: dict[str, Any]) -> Proof:
    return Proof.objects.create(
        kind="manual", at=T0, recorded_at=T0, host=rows["hosts"][0], text="seen"
    )


def insert(table: str, **values: Any) -> None:
    columns = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(["%s"] * len(values))
    with transaction.atomic(), connection.cursor() as cursor:
        sql = f'INSERT INTO "{table}" ({columns}) VALUES ({marks})'  # noqa: S608 - fixed names
        cursor.execute(sql, list(values.values()))


def update(table: str, pk: int, **values: Any) -> None:
    sets = ", ".join(f'"{name}" = %s' for name in values)
    with transaction.atomic(), connection.cursor() as cursor:
        sql = f'UPDATE "{table}" SET {sets} WHERE id = %s'  # noqa: S608 - fixed names
        cursor.execute(sql, [*values.values(), pk])


def insert_run(rows: dict[str, Any], **changes: Any) -> None:
    # Every column: a row that lacks one would be refused for that alone.
    plain = [field for field in Run._meta.concrete_fields if not field.primary_key]
    empty: dict[str, Any] = {str(field.column): field.get_default() for field in plain}
    values = empty | {
        "vm_id": rows["vms"][0].pk,
        "host_id": rows["hosts"][1].pk,
        "generation": 2,
        "state": "starting",
        "started_at": T0,
    }
    insert("vms_run", **(values | changes))


def close(rows: dict[str, Any]) -> None:
    update("vms_run", rows["run"].pk, ended_at=T0, proof_id=a_proof(rows).pk)


def test_a_second_open_run_of_a_vm_is_refused(rows: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        insert_run(rows)
    assert Run.objects.count() == 1


def test_reopening_a_closed_run_beside_an_open_one_is_refused(rows: dict[str, Any]) -> None:
    close(rows)
    insert_run(rows)
    with pytest.raises(IntegrityError):
        update("vms_run", rows["run"].pk, ended_at=None, proof_id=None)


def test_moving_an_open_run_to_a_vm_that_has_one_is_refused(rows: dict[str, Any]) -> None:
    insert_run(rows, vm_id=rows["vms"][1].pk)
    other = Run.objects.get(vm=rows["vms"][1])
    with pytest.raises(IntegrityError):
        update("vms_run", other.pk, vm_id=rows["vms"][0].pk)


def test_an_end_without_a_proof_is_refused(rows: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        update("vms_run", rows["run"].pk, ended_at=T0)
    with pytest.raises(IntegrityError):
        insert_run(rows, vm_id=rows["vms"][1].pk, ended_at=T0)


def test_a_proof_without_an_end_is_refused(rows: dict[str, Any]) -> None:
    proof = a_proof(rows)
    with pytest.raises(IntegrityError):
        update("vms_run", rows["run"].pk, proof_id=proof.pk)
    with pytest.raises(IntegrityError):
        insert_run(rows, vm_id=rows["vms"][1].pk, proof_id=proof.pk)


def test_the_proof_of_a_run_can_be_neither_taken_away_nor_deleted(rows: dict[str, Any]) -> None:
    close(rows)
    with pytest.raises(IntegrityError):
        update("vms_run", rows["run"].pk, proof_id=None)
    with pytest.raises(IntegrityError):
        _delete_proofs()


def test_one_proof_ends_one_run_only(rows: dict[str, Any]) -> None:
    close(rows)
    proof = Run.objects.get(pk=rows["run"].pk).proof_id
    with pytest.raises(IntegrityError):
        insert_run(rows, ended_at=T0, proof_id=proof)


def test_a_generation_is_given_out_once(rows: dict[str, Any]) -> None:
    close(rows)
    with pytest.raises(IntegrityError):
        insert_run(rows, generation=1)
    insert_run(rows)
    with pytest.raises(IntegrityError):
        update("vms_run", rows["run"].pk, generation=2)


def _delete_proofs() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM vms_proof")
        connection.check_constraints()


@pytest.mark.parametrize("generation", [0, -1])
def test_generations_begin_at_one(rows: dict[str, Any], generation: int) -> None:
    with pytest.raises(IntegrityError):
        insert_run(rows, vm_id=rows["vms"][1].pk, generation=generation)
    with pytest.raises(IntegrityError):
        update("vms_run", rows["run"].pk, generation=generation)


def test_a_run_cannot_end_before_it_began(rows: dict[str, Any]) -> None:
    proof, before = a_proof(rows), T0 - timedelta(seconds=1)
    with pytest.raises(IntegrityError):
        update("vms_run", rows["run"].pk, ended_at=before, proof_id=proof.pk)
    with pytest.raises(IntegrityError):
        insert_run(rows, vm_id=rows["vms"][1].pk, ended_at=before, proof_id=proof.pk)


@pytest.mark.parametrize("state", ["ended", "", "RUNNING"])
def test_a_run_is_starting_or_running_and_nothing_else(rows: dict[str, Any], state: str) -> None:
    with pytest.raises(IntegrityError):
        insert_run(rows, vm_id=rows["vms"][1].pk, state=state)
    with pytest.raises(IntegrityError):
        update("vms_run", rows["run"].pk, state=state)


def test_a_disk_path_has_one_writer_unless_all_of_them_share_it(rows: dict[str, Any]) -> None:
    one, two = rows["vms"]

    def disk(vm: Vm, path: str, *, writable: bool, shareable: bool) -> None:
        insert("vms_disk", vm_id=vm.pk, path=path, writable=writable, shareable=shareable)

    disk(one, "/a", writable=True, shareable=False)
    with pytest.raises(IntegrityError):
        disk(two, "/a", writable=True, shareable=False)
    with pytest.raises(IntegrityError):
        disk(one, "/a", writable=False, shareable=False)
    disk(two, "/a", writable=False, shareable=False)
    reader = Disk.objects.get(vm=two)
    with pytest.raises(IntegrityError):
        update("vms_disk", reader.pk, writable=True)
    disk(one, "/shared", writable=True, shareable=True)
    disk(two, "/shared", writable=True, shareable=True)


@pytest.mark.parametrize("field", ["memory_mib", "vcpus"])
def test_a_vm_needs_memory_and_cpus(rows: dict[str, Any], field: str) -> None:
    for value in (0, -1):
        with pytest.raises(IntegrityError):
            update("vms_vm", rows["vms"][0].pk, **{field: value})


def test_vm_uuids_and_names_are_unique(rows: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        update("vms_vm", rows["vms"][1].pk, uuid="web1")
    with pytest.raises(IntegrityError):
        update("vms_vm", rows["vms"][1].pk, name="web1")


@pytest.mark.parametrize("state", ["requested", "acting", "waiting"])
def test_one_operation_of_a_kind_is_open_for_a_vm_on_a_host(
    rows: dict[str, Any], state: str
) -> None:
    vm, host = rows["vms"][0], rows["hosts"][0]
    fields = {"vm": vm, "host": host, "kind": "start", "requested_at": T0, "due_at": T0}
    VmOperation.objects.create(**fields)
    with pytest.raises(IntegrityError), transaction.atomic():
        VmOperation.objects.create(**fields, state=state)
    done = VmOperation.objects.create(**fields, state="done")
    VmOperation.objects.create(**(fields | {"host": rows["hosts"][1]}))
    with pytest.raises(IntegrityError):
        update("vms_vmoperation", done.pk, state=state)
