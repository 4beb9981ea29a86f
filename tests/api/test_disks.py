"""A disk is written to by one VM: whoever enters a second one is told."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.conftest import API, Centre, problem
from vms.models import Disk, Run, Vm

UUID = "00000000-0000-4000-8000-0000000000{}"


def _xml(name: str, number: int, path: str, mark: str = "") -> str:
    return (
        f"<domain><name>{name}</name><uuid>{UUID.format(number)}</uuid><devices>"
        f"<disk type='file' device='disk'><source file='{path}'/>{mark}</disk>"
        "<disk type='file' device='cdrom'><source file='/iso'/></disk></devices></domain>"
    )


def _enter(admin: APIClient, centre: Centre, name: str, number: int, xml: str) -> Any:
    fields = {"name": name, "uuid": UUID.format(number), "cluster": centre.other.pk}
    fields |= {"memory_mib": 512, "vcpus": 1, "xml": xml}
    return admin.post(f"{API}/vms/", fields, format="json")


def test_a_disk_that_another_vm_writes_to_is_refused(centre: Centre, admin: APIClient) -> None:
    first = _enter(admin, centre, "a", 11, _xml("a", 11, "/shared/a.qcow2"))
    assert first.status_code == 201, first.content
    assert [disk["path"] for disk in first.json()["disks"]] == ["/shared/a.qcow2"]
    before = Vm.objects.count()
    told = problem(_enter(admin, centre, "b", 12, _xml("b", 12, "/shared/a.qcow2")), 400, "xml")
    assert "written to by a" in told["detail"]
    assert Vm.objects.count() == before
    assert _enter(admin, centre, "c", 13, _xml("c", 13, "/shared/c.qcow2")).status_code == 201


@pytest.mark.parametrize("both", [True, False])
def test_a_disk_is_shared_only_if_both_say_so(both: bool, centre: Centre, admin: APIClient) -> None:
    mark = "<shareable/>"
    assert _enter(admin, centre, "a", 11, _xml("a", 11, "/s", mark)).status_code == 201
    second = _enter(admin, centre, "b", 12, _xml("b", 12, "/s", mark if both else ""))
    assert second.status_code == (201 if both else 400)


@pytest.mark.parametrize("runs", [True, False])
def test_a_new_disk_replaces_the_old_one_unless_a_copy_still_writes_to_it(
    runs: bool, centre: Centre, admin: APIClient
) -> None:
    pk = _enter(admin, centre, "a", 11, _xml("a", 11, "/old")).json()["id"]
    if runs:
        now = centre.db1.state_since
        Run.objects.create(vm_id=pk, host=centre.far1, generation=1, started_at=now)
    change = {"xml": _xml("a", 11, "/new")}
    answer = admin.patch(f"{API}/vms/{pk}/", change, format="json", headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.content
    kept = set(Disk.objects.filter(vm=pk).values_list("path", flat=True))
    assert kept == ({"/old", "/new"} if runs else {"/new"})
