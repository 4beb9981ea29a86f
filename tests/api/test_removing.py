"""Removing what was entered by mistake; what has a history stays."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from fencing.domain.alerts import AlertKind
from fencing.models import Alert, FenceOperation, Incident, ManualConfirmation, PowerController
from fencing.services import power
from fencing.services.incidents import open_incident, raise_alert
from hosts.models import Host, HostOperation
from portal.core.models import Event
from portal.core.services import broken_seal
from portal.lib import clock
from tests.api.conftest import API, Centre, problem
from tests.vms.conftest import either
from vms.domain.states import EndReason, ProofKind
from vms.models import Proof, Run, VmOperation

__all__ = ["either"]


def test_a_host_entered_by_mistake_goes_with_all_that_came_with_it(
    either: str, centre: Centre, admin: APIClient
) -> None:
    fields = {"name": "wrong", "uri": "qemu+tls://wrong/system", "cluster": centre.cluster.pk}
    pk = admin.post(f"{API}/hosts/", fields, format="json").json()["id"]
    bmc = {"host": pk, "address": "192.0.2.99", "username": "a", "password": "b"}
    row = admin.post(f"{API}/power-controllers/", bmc, format="json").json()["id"]
    for path in (
        f"hosts/{pk}/actions/probe", f"hosts/{pk}/actions/disable-ha",
        f"hosts/{pk}/actions/enable-ha", f"hosts/{pk}/actions/maintenance",
        f"power-controllers/{row}/actions/test",
    ):  # fmt: skip
        assert admin.post(f"{API}/{path}/", {}, format="json").status_code == 202, path
    answer = admin.post(f"{API}/hosts/{pk}/actions/fence/", {"action": "status"}, format="json")
    assert answer.status_code == 202
    raise_alert(AlertKind.BMC_UNREACHABLE, pk, 0, "no answer", clock.now())

    gone = admin.delete(f"{API}/hosts/{pk}/")

    assert gone.status_code == 204, gone.content
    for model in (Host, HostOperation, PowerController, FenceOperation):
        found = model.objects.filter(**{"pk" if model is Host else "host": pk})
        assert not found.exists(), model
    assert not Alert.objects.filter(host=pk, closed_at__isnull=True).exists()
    assert Event.objects.filter(host=pk, kind="host.removed").count() == 1
    assert Event.objects.filter(host=pk, kind="host.added").exists()
    assert broken_seal() is None
    for query in ("hosts/", "operations/", f"alerts/?host={pk}", f"events/?host={pk}"):
        assert admin.get(f"{API}/{query}").status_code == 200


def run(host: Host, centre: Centre) -> None:
    """An open run there."""
    Run.objects.create(vm=centre.idle1, host=host, generation=1, started_at=clock.now())


def contender(host: Host, centre: Centre) -> None:
    """A run elsewhere that this host may hold as well."""
    Run.objects.filter(host=centre.node1).update(contender=host)


def proof(host: Host, centre: Centre) -> None:
    """A proof about it."""
    now = clock.now()
    Proof.objects.create(
        kind=ProofKind.POWER_OFF, reason=EndReason.NONE, at=now, recorded_at=now, host=host
    )


def incident(host: Host, centre: Centre) -> None:
    """A closed incident."""
    made = open_incident(host.pk, clock.now())
    Incident.objects.filter(pk=made.pk).update(closed_at=clock.now())


def fence(host: Host, centre: Centre) -> None:
    """A fence."""
    power.ask("fence", host.pk, now=clock.now())


def confirmation(host: Host, centre: Centre) -> None:
    """A person's word."""
    ManualConfirmation.objects.create(host=host, at=clock.now(), actor="ann", reason="I looked")


def work(host: Host, centre: Centre) -> None:
    """Work on a VM's copy there."""
    now = clock.now()
    VmOperation.objects.create(
        kind="undefine", vm=centre.db1, host=host, requested_at=now, due_at=now
    )


@pytest.mark.parametrize(
    ("happened", "word"),
    [
        (run, "runs"), (contender, "runs"), (proof, "proofs"), (incident, "incidents"),
        (fence, "fences"), (confirmation, "confirmations"), (work, "work on VMs"),
    ],
)  # fmt: skip
def test_a_host_with_a_history_stays(
    happened: Callable[[Host, Centre], Any], word: str, centre: Centre, admin: APIClient
) -> None:
    happened(centre.far1, centre)
    HostOperation.objects.create(
        host=centre.far1, kind="probe", requested_at=clock.now(), due_at=clock.now()
    )
    before = Event.objects.count()
    told = problem(admin.delete(f"{API}/hosts/{centre.far1.pk}/"), 409)
    assert told["code"] == "in_use"
    assert word in told["detail"]
    assert "maintenance" in told["cure"]
    assert Host.objects.filter(pk=centre.far1.pk).exists()
    assert centre.far1.operations.exists()
    assert Event.objects.count() == before


def test_a_cluster_with_hosts_stays_and_an_empty_one_goes(centre: Centre, admin: APIClient) -> None:
    told = problem(admin.delete(f"{API}/clusters/{centre.other.pk}/"), 409)
    assert "hosts" in told["detail"]
    assert admin.delete(f"{API}/hosts/{centre.far1.pk}/").status_code == 204
    assert admin.delete(f"{API}/clusters/{centre.other.pk}/").status_code == 204
