"""Locking a VM against being started, what becomes of its storage errors, and bad disks."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from portal.core.models import Event
from portal.lib import clock
from tests.api.conftest import API, Centre, problem
from tests.api.test_actions import act
from tests.api.test_editing import patch
from vms.models import Run, Vm, VmLock
from vms.services.runs import AlreadyOpen, start_run


def _json(client: APIClient, vm: Vm) -> dict[str, object]:
    shown: dict[str, object] = client.get(f"{API}/vms/{vm.pk}/").json()
    return shown


def test_a_lock_says_who_and_why_and_a_start_is_refused(centre: Centre, admin: APIClient) -> None:
    path = f"vms/{centre.idle1.pk}/actions"
    answer = act(admin, f"{path}/lock", reason="a backup")
    assert answer.status_code == 200, answer.content
    assert answer.json()["lock"]["by"] == "admin-all-0"
    assert answer.json()["lock"]["until"] is None
    refused = problem(act(admin, f"{path}/start"), 409)
    assert "a backup" in refused["detail"]
    assert "Unlock it" in refused["cure"]
    assert not Run.objects.filter(vm=centre.idle1).exists()
    assert Event.objects.get(kind="vm.locked").actor == "admin-all-0"

    assert act(admin, f"{path}/unlock").json()["lock"] is None
    problem(act(admin, f"{path}/unlock"), 409)
    assert not VmLock.objects.exists()


def test_a_lock_with_a_time_ends_by_itself(centre: Centre, admin: APIClient) -> None:
    act(admin, f"vms/{centre.idle1.pk}/actions/lock", reason="a backup", for_s=60)
    assert _json(admin, centre.idle1)["lock"] is not None
    VmLock.objects.update(until=clock.now() - timedelta(seconds=1))
    assert _json(admin, centre.idle1)["lock"] is None
    assert start_run(centre.idle1.pk, centre.node1, why="test", now=clock.now())


def test_nobody_takes_another_ones_lock_but_renews_the_own(
    centre: Centre, admin: APIClient
) -> None:
    path = f"vms/{centre.idle1.pk}/actions/lock"
    act(admin, path, reason="a backup", for_s=60)
    assert act(admin, path, reason="a longer backup").json()["lock"]["why"] == "a longer backup"
    VmLock.objects.update(by="ann")
    assert "ann" in problem(act(admin, path, reason="mine"), 409)["detail"]


def test_a_lock_that_came_after_the_plan_still_stops_the_start(centre: Centre) -> None:
    VmLock.objects.create(vm=centre.idle1, by="ann", why="a backup", at=clock.now())
    with pytest.raises(AlreadyOpen, match="ann"):
        start_run(centre.idle1.pk, centre.node1, why="test", now=clock.now())


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x", "for_s": 0}])
def test_a_lock_needs_a_reason_and_a_time_that_can_be(
    centre: Centre, admin: APIClient, body: dict[str, object]
) -> None:
    problem(act(admin, f"vms/{centre.idle1.pk}/actions/lock", **body), 400)


def test_resume_behaviour_and_bad_disks_are_set_and_shown(centre: Centre, admin: APIClient) -> None:
    path = f"vms/{centre.idle1.pk}"
    changes = {"resume_behaviour": "kill", "disks_illegal": "the merge of a snapshot failed"}
    assert patch(admin, path, changes, "*").status_code == 200
    shown = _json(admin, centre.idle1)
    assert (shown["resume_behaviour"], shown["suspended"]) == ("kill", False)
    refused = problem(act(admin, f"vms/{centre.idle1.pk}/actions/start"), 409)
    assert "merge of a snapshot" in refused["detail"]
    problem(patch(admin, path, {"resume_behaviour": "hope"}, "*"), 400)
