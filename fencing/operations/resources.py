"""Driving everything but hosts by the table of HA states: one tick, and one question.

A tick puts due questions into their pools; a question is claimed (transaction),
asked (none open), and its answer recorded (transaction).  The rows are the truth:
a tick that runs twice, late or never changes nothing but the pace.
"""

from functools import partial

from django.db import connections

from fencing.operations.asking import ask
from fencing.operations.pools import Pool
from fencing.services import ha_claims, ha_switches
from hosts.services import engines
from portal.lib import clock
from portal.lib.ha.evidence import unknown
from portal.lib.ha.provider import Capability
from portal.lib.ha.record import Finding, Work
from portal.lib.ha_registry import known
from portal.lib.queue import wake

TEND = "resources.tend"
#: Kind of question -> how many an engine asks at once, and how many may wait.
QUEUES: dict[Work, tuple[int, int]] = {
    Work.HEALTH: (50, 5000),
    Work.ACTIVITY: (25, 2500),
    Work.RECOVERY: (25, 2500),
    Work.FENCE: (25, 2500),
}
POOLS = {work: Pool(work, *limits) for work, limits in QUEUES.items()}


def tend() -> int:
    """Put every due question into its pool, as far as there is room; return how many."""
    now = clock.now()
    ha_switches.settle(ha_switches.unsettled(), now=now)
    queues = ha_switches.scope_of(ha_switches.EVERYTHING).queues
    taken = 0
    for work, pool in POOLS.items():
        pool.resize(*queues.get(work, QUEUES[work]))
        room = pool.room()
        if not room:
            continue
        # Whatever waits or runs is still due in its row.
        most = room + sum(other.busy() for other in POOLS.values())
        for pk in ha_claims.due(work, now).values_list("pk", flat=True)[:most]:
            if not any(other.has(pk) for other in POOLS.values()):
                room -= pool.submit(pk, partial(_job, pk, work))
                taken += 1
            if room <= 0:
                break
    return taken


def _job(pk: int, work: Work) -> None:
    try:
        step(pk, work)
    finally:
        connections.close_all()


def step(pk: int, work: Work) -> bool:
    """Ask one due question about a resource; False when it was not our turn."""
    now = clock.now()
    row = ha_claims.due(work, now).filter(pk=pk).first()
    entry = known().get(row.provider) if row else None
    provider = entry.provider if entry else None
    can = entry.capabilities if entry else frozenset[Capability]()
    claimed = ha_claims.claim(pk, work, can=can, tag=engines.me(), now=now)
    if claimed is None:
        return False
    if provider is None:
        finding = _nobody(claimed)
    elif work in ha_claims.ACTS and not ha_claims.is_mine(claimed, clock.now()):
        return False
    else:
        finding = ask(claimed, provider)
    found = ha_claims.record(claimed, finding, clock.now())
    if found is not None and found.record.due_at is not None and found.record.due_at <= now:
        wake(TEND)
    return found is not None


def _nobody(claimed: ha_claims.Claim) -> Finding:
    name = claimed.row.provider
    entry = known().get(name)
    text = f"it cannot be used: {entry.why_not}" if entry else "it is not installed"
    said = unknown(f"provider {name}", text, claimed.asked_at)
    return Finding(claimed.work, claimed.record.attempt, said)
