"""A VM's page: who has locked it, what its storage may do, and why its disks are not used."""

from django.test import Client

from portal.lib import clock
from tests.api.conftest import Centre
from vms.models import Vm, VmLock


def _page(client: Client, vm: Vm) -> str:
    return client.get(f"/vms/{vm.pk}/").content.decode()


def test_a_lock_is_shown_and_whoever_operates_can_take_it_away(
    centre: Centre, operator: Client, viewer: Client
) -> None:
    vm = centre.db1
    assert "unlock/" not in _page(operator, vm)
    VmLock.objects.create(vm=vm, by="ann", why="a backup", at=clock.now())
    assert "Locked by ann: a backup" in _page(operator, vm)
    assert f"/vms/{vm.pk}/actions/unlock/" in _page(operator, vm)
    assert "Locked by ann: a backup" in _page(viewer, vm)
    assert "unlock/" not in _page(viewer, vm)
    VmLock.objects.update(until=clock.now())
    assert "Locked by" not in _page(operator, vm)


def test_resume_behaviour_and_bad_disks_are_shown_and_can_be_set(
    centre: Centre, admin_page: Client
) -> None:
    Vm.objects.filter(pk=centre.db1.pk).update(
        resume_behaviour="kill", disks_illegal="a merge failed", io_error_since=clock.now()
    )
    shown = _page(admin_page, centre.db1)
    assert '<option value="kill" selected>' in shown
    assert "must not be used: a merge failed" in shown
    assert "Stopped by its storage" in shown
