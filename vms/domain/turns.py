"""Whose start waits for that of others: lower tiers first, and dependencies with a delay.

Nobody waits for ever: a VM that has no room holds the others back for ``patience`` at
most, a start without an answer for a minute, one that was refused twice not at all, and
one that nobody is going to start (shut down on purpose, without HA) holds back nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vms.domain.restart import VmFacts, wants_start
from vms.domain.states import RunState

#: A start that was refused so often is a matter for a person, not for those behind it.
REFUSALS_TOLD = 2
#: A start without an answer for so long may have been lost in a frozen host.
_START_TAKES = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a VM's turn has not come; ``until`` is known where only time must pass."""

    why: str
    until: datetime | None = None


class Turns:
    """Which VMs of a cluster are on their way up at ``now``, and who waits for them."""

    def __init__(
        self,
        vms: Iterable[VmFacts],
        hosts_lost: Mapping[int, datetime],
        patience: timedelta,
        now: datetime,
    ) -> None:
        self._vms = {vm.pk: vm for vm in vms}
        self._now, self._patience = now, patience
        self._rising = {vm.pk for vm in self._vms.values() if self._is_rising(vm, hosts_lost)}
        self._tiers = self._effective_tiers()
        self._first = min(self._rising, key=lambda pk: (self._tiers[pk], pk), default=None)

    def _is_rising(self, vm: VmFacts, hosts_lost: Mapping[int, datetime]) -> bool:
        if vm.run is not None:
            young = self._now - vm.run.started_at < _START_TAKES
            return vm.ha and vm.run.state is RunState.STARTING and young
        waited = timedelta(0) if vm.waiting_since is None else self._now - vm.waiting_since
        return wants_start(vm, hosts_lost) and vm.tries < REFUSALS_TOLD and waited < self._patience

    def _effective_tiers(self) -> dict[int, int]:
        """A VM that others start after goes with the first of them, whatever its own tier."""
        tiers: dict[int, int] = {}
        for vm in sorted(self._vms.values(), key=lambda item: item.start_tier):
            stack = [vm.pk]
            while stack:
                pk = stack.pop()
                if pk in self._vms and pk not in tiers:
                    tiers[pk] = vm.start_tier
                    stack.extend(self._vms[pk].starts_after)
        return tiers

    def wait(self, vm: VmFacts) -> Wait | None:
        """Return what ``vm`` waits for before it may start, or None when its turn has come."""
        before = (self._vms[pk] for pk in vm.starts_after if pk in self._vms)
        for other in sorted(before, key=lambda item: item.name):
            if other.pk in self._rising and self._is_patient(vm):
                return Wait(f"it starts after {other.name}, which is not up yet")
            due = _up_at(other)
            if due is not None and self._now < due + timedelta(seconds=vm.start_delay_s):
                until = due + timedelta(seconds=vm.start_delay_s)
                text = f"it starts {vm.start_delay_s:g} s after {other.name}"
                return Wait(f"{text}, at {until:%H:%M:%S} UTC", until)
        if self._first is not None and self._tiers[self._first] < self._tiers[vm.pk]:
            name, tier = self._vms[self._first].name, self._tiers[self._first]
            return Wait(f"tier {tier} goes first: {name} is not up yet")
        return None

    def _is_patient(self, vm: VmFacts) -> bool:
        return vm.waiting_since is None or self._now - vm.waiting_since < self._patience


def _up_at(vm: VmFacts) -> datetime | None:
    return vm.run.running_at if vm.run is not None else None


def circle(after: Mapping[int, Sequence[int]], vm: int) -> list[int]:
    """Return a way from ``vm`` by "starts after" back to itself, or an empty list.

    ``after``: for each VM those that it starts after.  The way ends before ``vm`` itself.
    """
    stack, seen = [(vm, [vm])], set()
    while stack:
        at, way = stack.pop()
        for before in after.get(at, ()):
            if before == vm:
                return way
            if before not in seen:
                seen.add(before)
                stack.append((before, [*way, before]))
    return []
