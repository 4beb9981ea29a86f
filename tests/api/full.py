"""A data centre in which every resource has a row: about node1, db1 and their cluster."""

from dataclasses import dataclass
from typing import Any

import pytest

from fencing.models import Alert, FenceOperation, HaResource, Incident, PowerController
from fencing.services import ha_history
from hosts.models import Engine, EngineLease, HostOperation
from hosts.services import engines
from portal.core.models import (
    ApiToken,
    Delivery,
    NotificationTarget,
    Operation,
    RoleBinding,
    User,
)
from portal.core.services import record_event
from portal.lib import clock
from portal.lib.ha.owners import DEAD
from portal.lib.ha.states import HaEvent, HaState
from tests.api.conftest import Centre
from vms.models import AffinityRule, Proof, Run, VmOperation


@dataclass
class Full:
    """What hangs on node1 and db1, beside the data centre itself."""

    centre: Centre
    controller: PowerController
    incident: Incident
    alert: Alert
    event: Any
    run: Run
    proof: Proof
    engine: Engine
    host_op: HostOperation
    vm_op: VmOperation
    fence_op: FenceOperation
    binding: RoleBinding
    token: ApiToken
    target: NotificationTarget
    delivery: Delivery
    rule: AffinityRule
    resource: HaResource


def _ended(state: str = "failed") -> dict[str, Any]:
    now = clock.now()
    return {
        "state": state,
        "steps": [{"at": now.isoformat(), "text": "no answer"}],
        "requested_by": "ann",
        "requested_at": now,
        "due_at": now,
        "ended_at": now,
        "error_code": "no_answer",
        "error_text": "no answer",
        "error_cure": "Ask again.",
    }


def _past(centre: Centre) -> tuple[Run, Proof]:
    """Return an earlier life of db1 on node1, and why it is over."""
    now = clock.now()
    proof = Proof.objects.create(
        kind="observed_off", at=now, recorded_at=now, host=centre.node1, text="not there any more"
    )
    run = Run.objects.create(
        vm=centre.db1,
        host=centre.node1,
        generation=2,
        state="running",
        started_at=now,
        ended_at=now,
        proof=proof,
    )
    return run, proof


def _told() -> tuple[NotificationTarget, Delivery]:
    """Return somebody who is told of events, and a message that did not arrive."""
    now = clock.now()
    target = NotificationTarget.objects.create(
        name="pager", kind="webhook", address="http://192.0.2.7/hook", secret="s" * 20
    )
    return target, Delivery.objects.create(target=target, state="failed", at=now, due_at=now)


def _rule(centre: Centre) -> AffinityRule:
    """Return a rule about db1 and node1."""
    rule = AffinityRule.objects.create(cluster=centre.cluster, name="pair", kind="hosts")
    rule.vms.set([centre.db1])
    rule.hosts.create(host=centre.node1, priority=2)
    return rule


def _engine() -> Engine:
    """Return an engine that holds the beat."""
    now, name = clock.now(), "engine1"
    EngineLease.objects.create(
        name=engines.BEAT, holder=engines.holder(name, 7, "here"), expires_at=now + DEAD
    )
    return Engine.objects.create(name=name, epoch=3, started_at=now, beat_at=now)


def _looked_after(centre: Centre) -> HaResource:
    """Return what HA does about the inside of db1, with one change of its state."""
    now = clock.now()
    row = HaResource.objects.create(
        kind="vm",
        key=str(centre.db1.pk),
        vm=centre.db1,
        cluster=centre.cluster,
        provider="vm-guest",
        since=now,
        work="health",
        due_at=now,
        said={"answer": "yes", "source": "vm-guest", "text": "there", "asked_at": now.isoformat()},
    )
    ha_history.note(row, HaEvent.ENABLED, HaState.DISABLED, HaState.AVAILABLE, why="on", now=now)
    return row


def fill(centre: Centre) -> Full:
    """Enter a row of everything."""
    now, host, vm = clock.now(), centre.node1, centre.db1
    incident = Incident.objects.create(
        host=host, title="node1 does not answer", opened_at=now, summary="", outcome=""
    )
    run, proof = _past(centre)
    ann = User.objects.create(username="ann")
    return Full(
        centre,
        PowerController.objects.create(
            host=host, address="192.0.2.1", username="admin", password="bmc-secret"
        ),
        incident,
        Alert.objects.create(
            kind="fence_failed", host=host.pk, vm=vm.pk, text="failed", opened_at=now
        ),
        record_event(
            "fence.failed",
            "=1+1 failed",
            now=now,
            host=host.pk,
            vm=vm.pk,
            cluster=centre.cluster.pk,
            incident=incident.pk,
            evidence={"state": "on"},
        ),
        run,
        proof,
        _engine(),
        HostOperation.objects.create(kind="probe", host=host, **_ended("done")),
        VmOperation.objects.create(kind="stop", vm=vm, host=host, **_ended()),
        FenceOperation.objects.create(kind="check", host=host, incident=incident, **_ended()),
        RoleBinding.objects.create(user=ann, role="viewer", scope_type="host", scope_id=host.pk),
        ApiToken.objects.create(user=ann, name="theirs", scope="viewer")[0],
        *_told(),
        _rule(centre),
        _looked_after(centre),
    )


def slug(op: Operation) -> str:
    """Return the id of an operation as the API writes it."""
    return f"{type(op).__name__.removesuffix('Operation').lower()}-{op.pk}"


@pytest.fixture
def full(centre: Centre) -> Full:
    """Return the data centre with a row of everything."""
    return fill(centre)
