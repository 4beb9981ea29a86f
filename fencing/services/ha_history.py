"""Writing down what became of a resource: its transitions, and an event for each."""

from datetime import datetime

from fencing.models import HaResource, HaTransition
from portal.core.services import record_event
from portal.lib.ha.record import Record
from portal.lib.ha.states import HaEvent, HaState, next_state
from portal.lib.live import announce_on_commit

#: Transitions that a resource keeps; older ones remain as events.
KEPT = 1000


def note(
    row: HaResource,
    event: HaEvent,
    old: HaState,
    new: HaState,
    *,
    why: str,
    now: datetime,
    actor: str = "",
    counted: Record | None = None,
) -> None:
    """Add one transition to a resource's history."""
    HaTransition.objects.create(
        resource=row,
        at=now,
        event=event,
        old=old,
        new=new,
        why=why,
        actor=actor,
        rounds=counted.rounds if counted else 0,
        recoveries=counted.recoveries if counted else 0,
    )
    newest = HaTransition.objects.filter(resource=row).order_by("-pk")
    for last in newest.values_list("pk", flat=True)[KEPT : KEPT + 1]:
        HaTransition.objects.filter(resource=row, pk__lte=last).delete()


def tell(
    row: HaResource,
    events: tuple[HaEvent, ...],
    before: Record,
    *,
    why: str,
    now: datetime,
    actor: str = "",
) -> None:
    """Write down every real transition of a step; self-loops are no history."""
    state = before.state
    for event in events:
        old, state = state, next_state(state, event)
        if state is old:
            continue
        note(row, event, old, state, why=why, now=now, actor=actor, counted=before)
        record_event(
            f"resource.{state}",
            f"{row.kind} {row.name}: HA {old} → {state} ({why})",
            now=now,
            actor=actor,
            vm=row.vm_id or 0,
            cluster=row.cluster_id or 0,
            evidence={"event": event, "from": old, "to": state, "provider": row.provider},
        )
    if row.vm_id:
        announce_on_commit("vm", row.vm_id, "ha")
    elif row.cluster_id:
        announce_on_commit("cluster", row.cluster_id, "ha")


def call_for_help(row: HaResource, why: str, now: datetime) -> None:
    """Say once that what can be done does not help."""
    record_event(
        "resource.needs_person",
        f"{row.kind} {row.name} needs a person: {why}",
        now=now,
        vm=row.vm_id or 0,
        cluster=row.cluster_id or 0,
        evidence={"provider": row.provider, "state": row.state},
    )
