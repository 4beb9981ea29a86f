"""A closed incident goes on telling what it told when it was closed."""

from datetime import datetime, timedelta

from django.test import Client

from fencing.services.incidents import close_incident, open_incident
from hosts.models import Host
from portal.core.services import record_event
from portal.lib import clock
from tests.api.conftest import Centre
from vms.domain.states import EndReason, ProofKind
from vms.models import Proof, Run, Vm


def _end(run: Run, at: datetime, text: str) -> None:
    proof = Proof.objects.create(
        kind=ProofKind.POWER_OFF,
        reason=EndReason.HOST_LOST,
        at=at,
        recorded_at=at,
        host=run.host,
        text=text,
    )
    Run.objects.filter(pk=run.pk).update(ended_at=at, proof=proof)


def _start(vm: Vm, host: Host, at: datetime) -> Run:
    Vm.objects.filter(pk=vm.pk).update(generation=vm.generation + 1)
    vm.refresh_from_db()
    return Run.objects.create(
        vm=vm, host=host, generation=vm.generation, state="running", started_at=at, running_at=at
    )


def test_what_happens_after_an_incident_does_not_change_its_page(
    centre: Centre, viewer: Client
) -> None:
    begun = clock.now()
    found = open_incident(centre.node2.pk, begun)
    vm, first = centre.web1, Run.objects.get(vm=centre.web1)
    record_event("vm.starting", "web1", now=begun, vm=vm.pk, incident=found.pk)
    _end(first, begun + timedelta(seconds=4), "the first proof")
    second = _start(vm, centre.node1, begun + timedelta(seconds=5))
    close_incident(found, "failed_over", "web1 on node1", begun + timedelta(seconds=6))
    before = viewer.get(f"/incidents/{found.pk}/").content.decode()
    assert "the first proof" in before

    _end(second, begun + timedelta(seconds=60), "a later proof")
    _start(vm, centre.far1, begun + timedelta(seconds=61))

    after = viewer.get(f"/incidents/{found.pk}/").content.decode()
    assert "the first proof" in after
    assert "a later proof" not in after
    assert "far1" not in after
    assert "nowhere yet" not in after
