"""Admission control: whether one VM more would break what the cluster can lose.

Asked of a start by a person and of a new HA wish, never of a restart by HA: a VM
that has lost its host is helped as long as there is room at all.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice

from fencing.domain.capacity import Loss, in_words, losses
from fencing.domain.facts import ClusterFacts
from vms.domain.proofs import OpenRun
from vms.domain.restart import VmFacts
from vms.domain.states import RunState

#: So many combinations of two or more hosts are tried, the worst first.
MOST_COMBINATIONS = 200
#: So many losses are told.
_TOLD = 3


def broken_by(cluster: ClusterFacts, vm: VmFacts) -> tuple[Loss, ...]:
    """Return the losses that ``vm`` as it would be leaves more VMs without a home by.

    ``vm`` replaces the VM of the same id.  Nothing where no host has to be spared.
    """
    spare = cluster.policy.spare_hosts
    if not spare:
        return ()
    after = replace(cluster, vms=tuple(vm if vm.pk == one.pk else one for one in cluster.vms))
    before = {loss.name: set(loss.unplaced) for loss in _asked(cluster)}
    return tuple(
        loss for loss in _asked(after) if set(loss.unplaced) - before.get(loss.name, set())
    )


def _asked(cluster: ClusterFacts) -> Iterator[Loss]:
    yield from losses(cluster)
    if cluster.policy.spare_hosts > 1:
        worst = losses(cluster, int(cluster.policy.spare_hosts))
        yield from islice(worst, MOST_COMBINATIONS)


def started(vm: VmFacts, home: int, now: datetime) -> VmFacts:
    """Return ``vm`` as if it ran on ``home``."""
    run = OpenRun(0, vm.pk, "", vm.name, home, 0, RunState.RUNNING, started_at=now)
    return replace(vm, run=run, wanted_up=True)


def told(broken: tuple[Loss, ...]) -> str:
    """Say what would be lost, in a sentence or a few."""
    lines = [in_words(loss.name, [name for _, name in loss.unplaced]) for loss in broken[:_TOLD]]
    more = f"; and {len(broken) - _TOLD} more such hosts" if len(broken) > _TOLD else ""
    return "; ".join(lines) + more
