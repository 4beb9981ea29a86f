"""What holds after each line of a simulation's log: hosts as the portal sees them, runs, truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hosts.domain.states import HostStatus
from portal.lib.ha.states import HaState
from portal.sim.scenario import Scenario
from portal.sim.steps import Step

_STATUSES, _HA_STATES = frozenset(HostStatus), frozenset(HaState)


@dataclass(frozen=True, slots=True)
class HostNow:
    """What the portal holds a host to be."""

    status: str
    ha: str


@dataclass(frozen=True, slots=True)
class VmNow:
    """The open run of a VM, as the portal has it."""

    run: int = 0  # how many runs it has had so far
    host: str = ""  # of the open run; the empty text: none is open
    is_starting: bool = False
    is_quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything after a step; the first one is before all steps."""

    hosts: Mapping[str, HostNow]
    vms: Mapping[str, VmNow]


def moments_of(scenario: Scenario, steps: tuple[Step, ...]) -> Iterator[Moment]:
    """Yield the beginning, and what holds after each step."""
    hosts = {host.name: _first(on=host.power != "off") for host in scenario.hosts}
    vms = {vm.name: VmNow(1, vm.host) if vm.host else VmNow() for vm in scenario.vms}
    yield Moment(dict(hosts), dict(vms))
    for step in steps:
        if step.host and not step.vm and not step.is_fault:
            hosts[step.host] = _host_after(hosts[step.host], step)
        if step.vm and not step.is_fault:
            vms[step.vm] = _vm_after(vms[step.vm], step)
        yield Moment(dict(hosts), dict(vms))


def _first(*, on: bool) -> HostNow:
    if on:
        return HostNow(HostStatus.UP, HaState.AVAILABLE)
    return HostNow(HostStatus.DOWN, HaState.INELIGIBLE)


def _host_after(now: HostNow, step: Step) -> HostNow:
    kind, _, value = step.kind.partition(".")
    if kind == "host" and value in _STATUSES:
        return replace(now, status=value)
    if kind == "ha" and value in _HA_STATES:
        return replace(now, ha=value)
    return now


def _vm_after(now: VmNow, step: Step) -> VmNow:
    if step.kind in ("vm.split_brain", "vm.disk_clash"):
        return replace(now, is_quarantined=True)
    if step.kind in ("vm.starting", "vm.adopted", "vm.moved", "vm.taken_over"):
        starting = step.kind == "vm.starting"
        return replace(now, run=now.run + 1, host=step.host, is_starting=starting)
    if step.kind == "vm.running":
        return replace(now, is_starting=False)
    if step.kind == "run.proof" and step.host == now.host:
        return replace(now, host="", is_starting=False)
    return now
