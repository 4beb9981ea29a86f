"""Admission control as policy says: off, warn of a broken reserve, or refuse to break it."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction

from fencing.domain.admission import broken_by, started, told
from fencing.domain.facts import ClusterFacts
from fencing.selectors import cluster_facts
from portal.core.services import record_event
from vms.domain.restart import VmFacts
from vms.models import Vm
from vms.services import inventory
from vms.services.inventory import NotNow

_CURE = "Make room, or set admission to warn, or spare_hosts lower."


class Reserved(NotNow):
    """It would break the reserve; ``plain`` says so without naming other VMs and hosts."""

    def __init__(self, text: str, plain: str) -> None:
        super().__init__(text, _CURE)
        self.plain = plain


def of_start(facts: ClusterFacts, vm: VmFacts, home: int, *, actor: str, now: datetime) -> None:
    """Warn of a start on ``home`` that breaks the reserve, or raise :class:`NotNow`."""
    _judge(facts, started(vm, home, now), "started", actor, now)


@transaction.atomic
def edit_vm(vm: Vm, changes: dict[str, Any], *, actor: str, now: datetime) -> None:
    """Change a VM; to switch HA on is admitted first.  Raises ``Stale`` and :class:`NotNow`."""
    if changes.get("ha") and not vm.ha:
        facts = cluster_facts(vm.cluster_id, now)
        mine = next((item for item in facts.vms if item.pk == vm.pk), None)
        if mine is not None and mine.run is not None:
            _judge(facts, replace(mine, ha=True), "put under HA", actor, now)
    inventory.edit(vm, changes, actor=actor, now=now)


def _judge(facts: ClusterFacts, vm: VmFacts, done: str, actor: str, now: datetime) -> None:
    if facts.policy.admission == "off":
        return
    broken = broken_by(facts, vm)
    if not broken:
        return
    text = f"with {vm.name} {done}, the loss of {facts.policy.spare_hosts:g} host(s) is not covered"
    plain, text = text, f"{text}: {told(broken)}"
    if facts.policy.admission == "enforce":
        raise Reserved(text, plain)
    record_event(
        "capacity.warned",
        text,
        now=now,
        actor=actor,
        vm=vm.pk,
        cluster=facts.pk,
        rule="admission",
    )
