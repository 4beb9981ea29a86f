"""What came of a simulation as a picture: a lane for each host and VM, and every moment of it.

Nothing is drawn here.  Places are counted in steps: the log's first line stands at 1, what
happened half way in time between the fourth and the fifth at 4.5, the end after the last.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from portal.sim.moments import Moment, moments_of
from portal.sim.scenario import Scenario
from portal.sim.steps import Step, steps_of
from portal.sim.truth import Executing


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch in which something stayed as it was; seconds, and places in steps."""

    value: str
    from_s: float
    to_s: float
    begin: float
    end: float
    proof: str = ""  # of a run: by which proof it ended; empty while it is open
    frozen: str = ""  # where a copy is suspended meanwhile


@dataclass(frozen=True, slots=True)
class HostLane:
    """One host: its status, what HA does about it, and the steps to be marked."""

    name: str
    status: tuple[Segment, ...]
    ha: tuple[Segment, ...]
    marks: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class VmLane:
    """One VM: its runs by host, and where copies of it ran in truth.

    Of both the value is empty while there is none; two hosts at once are joined by " and ".
    """

    name: str
    ha: bool
    runs: tuple[Segment, ...]
    executes: tuple[Segment, ...]
    marks: tuple[Step, ...]

    def executing(self, step: int) -> Segment:
        """Return where copies run after a step."""
        return next(part for part in reversed(self.executes) if part.begin <= step)


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole simulation."""

    until: float
    steps: tuple[Step, ...]
    moments: tuple[Moment, ...]  # one more than steps
    hosts: tuple[HostLane, ...]
    vms: tuple[VmLane, ...]
    marks: tuple[Step, ...]  # of no host and no VM


def picture(scenario: Scenario, log: tuple[str, ...], truth: Iterable[Executing]) -> Picture:
    """Return the picture of what ``scenario`` came to: its log, and where copies executed."""
    steps = steps_of(scenario, log)
    moments = tuple(moments_of(scenario, steps))
    scale = _Scale(steps, scenario.until)
    told = tuple(truth)
    return Picture(
        until=scenario.until,
        steps=steps,
        moments=moments,
        hosts=tuple(_host_lane(host.name, steps, moments, scale) for host in scenario.hosts),
        vms=tuple(
            VmLane(
                vm.name,
                vm.ha,
                _runs(vm.name, steps, moments, scale),
                _executes(scale, [item for item in told if item.vm == vm.name]),
                _marks(steps, "", vm.name),
            )
            for vm in scenario.vms
        ),
        marks=_marks(steps, "", ""),
    )


def _marks(steps: tuple[Step, ...], host: str, vm: str) -> tuple[Step, ...]:
    """Return the steps marked in a lane; one about a VM on a host stands in the VM's."""
    here = [step for step in steps if step.vm == vm and (vm or step.host == host)]
    return tuple(step for step in here if step.mark)


class _Scale:
    """Turns places into seconds, and seconds into places."""

    def __init__(self, steps: tuple[Step, ...], until: float) -> None:
        self._at = [0.0, *(step.at for step in steps), until]
        self.end, self.until = len(steps) + 1, until

    def place(self, lines: int, at: float) -> float:
        """Return where something stands that happened after so many lines, at that second."""
        before, after = self._at[lines], self._at[lines + 1]
        if at <= before + 0.05 or after <= before:  # the log tells tenths of seconds
            return lines
        return lines + min((at - before) / (after - before), 1)

    def stretches(self, values: Iterable[Hashable]) -> list[tuple[Hashable, Segment]]:
        """Return each stretch of equal values; there is one value for each moment."""
        found, begin = [], 0
        for value, group in groupby(values):
            end = begin + len(list(group))
            found.append((value, Segment("", self._at[begin], self._at[end], begin, end)))
            begin = end
        return found


def _host_lane(
    name: str, steps: tuple[Step, ...], moments: tuple[Moment, ...], scale: _Scale
) -> HostLane:
    now = [moment.hosts[name] for moment in moments]
    status = scale.stretches(item.status for item in now)
    ha = scale.stretches(item.ha for item in now)
    return HostLane(
        name,
        tuple(replace(part, value=str(value)) for value, part in status),
        tuple(replace(part, value=str(value)) for value, part in ha),
        _marks(steps, name, ""),
    )


def _runs(
    name: str, steps: tuple[Step, ...], moments: tuple[Moment, ...], scale: _Scale
) -> tuple[Segment, ...]:
    now = [moment.vms[name] for moment in moments]
    found = []
    for _, part in scale.stretches((item.run, item.host) for item in now):
        host = now[int(part.begin)].host
        ended = steps[int(part.end) - 1] if part.end < scale.end else None
        proven = host and ended is not None and ended.kind == "run.proof"
        proof = ended.detail if proven and ended is not None else ""
        found.append(replace(part, value=host, proof=proof))
    return tuple(found)


def _executes(scale: _Scale, told: list[Executing]) -> tuple[Segment, ...]:
    """Return where a VM executed; what lasted no time is left out."""
    begins = [(scale.place(item.lines, item.ms / 1000), item) for item in told]
    ends = [*begins[1:], (float(scale.end), None)]
    found = []
    for (begin, item), (end, following) in zip(begins, ends, strict=True):
        to_s = scale.until if following is None else following.ms / 1000
        hosts, frozen = " and ".join(item.hosts), " and ".join(item.frozen)
        found.append(Segment(hosts, item.ms / 1000, to_s, begin, end, frozen=frozen))
    return tuple(part for part in found if part.begin < part.end)
