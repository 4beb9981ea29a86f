"""The log of a simulation, line by line, as something to count and to draw."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from portal.sim.scenario import Scenario

_LINE = re.compile(
    r"^ *(?P<at>\d+\.\d)  (?:! (?P<fault>\S+)|(?P<who>.+?): (?P<kind>\S+))(?P<rest>.*)$"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the log: ``number`` from 1 on, ``at`` in seconds.

    Of a fault, ``kind`` is its word and ``detail`` are its arguments.
    """

    number: int
    at: float
    kind: str
    host: str = ""
    vm: str = ""
    detail: str = ""
    is_fault: bool = False

    @property
    def mark(self) -> str:
        """What it is drawn as: the empty text where only a state has changed."""
        if self.is_fault:
            return "fault"
        if self.kind.startswith(("run.proof", "host.proven")):
            return "proof"
        if self.detail.startswith("row "):
            return "decision"
        first = self.kind.partition(".")[0]
        return _MARKS.get(first, "")


#: First word of an event's kind -> mark.
_MARKS = {
    "alert": "alert",
    "fence": "fence",
    "confirm": "person",
    "bmc": "evidence",
    "storage": "evidence",
}


def steps_of(scenario: Scenario, log: tuple[str, ...]) -> tuple[Step, ...]:
    """Return the lines of ``log`` as steps; a line that is none is an error of this program."""
    hosts = {host.name for host in scenario.hosts}
    vms = {vm.name for vm in scenario.vms}
    return tuple(_steps(hosts, vms, log))


def _steps(hosts: set[str], vms: set[str], log: tuple[str, ...]) -> Iterator[Step]:
    for number, line in enumerate(log, 1):
        found = _LINE.match(line)
        if found is None:
            raise ValueError(f"line {number} is no line of a simulation's log: {line!r}")
        at, rest = float(found["at"]), found["rest"].strip()
        if found["fault"]:
            said = rest.split(" ")
            host = next((word for word in said if word in hosts), "")
            vm = next((word for word in said if word in vms), "")
            yield Step(number, at, found["fault"], host, vm, rest, is_fault=True)
            continue
        named = set(found["who"].split(" on "))
        host, vm = (next(iter(named & known), "") for known in (hosts, vms))
        yield Step(number, at, found["kind"], host, vm, rest)
