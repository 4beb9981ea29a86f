"""How long a VM is gone: from the injected fault to "it runs elsewhere".

The fault's time comes from the injector's monotonic clock, which all processes
of one computer share.  *Running elsewhere* means that the API says so and the
bench's own libvirt connection to that host sees it.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hosts.domain.looks import GuestState
from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.port import HypervisorError, Target
from portal.bench.figures import percentile
from portal.bench.rig import Rig, RigError, until

#: A case that takes longer than this has failed.
GIVE_UP_S = 90.0


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of fault: ``hit`` injects it and returns the time from which to count."""

    name: str
    hit: Callable[[Rig, str], float]
    heal: Callable[[Rig, str], object]


def _power_off(rig: Rig, host: str) -> float:
    return float(rig.control.do("host.power_off", host=host)["at_monotonic"])


def _panic(rig: Rig, host: str) -> float:
    return float(rig.control.do("host.panic", host=host)["at_monotonic"])


def _cord(rig: Rig, host: str) -> float:
    """Pull the cord, wait until the portal asks for a person, and answer."""
    rig.control.do("power.cut", host=host)
    until(lambda: _asks(rig, host), GIVE_UP_S, "the page to ask for a confirmation", every=0.1)
    row = rig.api.named("hosts/", host)
    at = time.monotonic()
    body = {"host_name": host, "reason": "the bench pulled the cord"}
    answer = rig.api.post(f"hosts/{row['id']}/actions/confirm-rebooted/", body)
    if answer.status_code != 202:
        raise RigError(f"the confirmation was refused: {answer.text[:500]}")
    return at


def _asks(rig: Rig, host: str) -> bool:
    pk = rig.api.named("hosts/", host)["id"]
    return bool(rig.api.get("alerts/", open="true", kind="confirm_reboot", host=pk))


CASES = {
    case.name: case
    for case in (
        Case("power_off", _power_off, lambda rig, host: None),
        Case("panic_fence", _panic, lambda rig, host: None),
        Case("cord_confirm", _cord, lambda rig, host: rig.control.do("power.restore", host=host)),
    )
}


def measure(rig: Rig, case: Case, n: int, say: Callable[[str], object]) -> dict[str, Any]:
    """Run a case ``n`` times, hosts in turn; return the bench's line."""
    times: list[float] = []
    failed = 0
    names = [host.name for host in rig.box.hosts]
    for index in range(n):
        until(rig.calm, 120, "the box to be calm", every=0.2)
        host = _busiest(rig, names, index)
        try:
            took = _once(rig, case, host)
            times.append(took)
            say(f"{case.name} {index + 1}/{n} on {host}: {took:.2f} s")
        except RigError as error:
            failed += 1
            say(f"{case.name} {index + 1}/{n} on {host}: FAILED: {error}")
        case.heal(rig, host)
    return summary(case.name, n, failed, times)


def _busiest(rig: Rig, names: list[str], index: int) -> str:
    """Return the next host in turn that runs a VM."""
    homes = set(rig.up().values())
    order = [names[(index + step) % len(names)] for step in range(len(names))]
    return next(name for name in order if name in homes)


def summary(case: str, n: int, failed: int, times: list[float]) -> dict[str, Any]:
    """Return one line of the bench; times are those of the last VM of each failover."""
    ordered = sorted(times)
    return {
        "bench": "failover",
        "case": case,
        "n": n,
        "failed": failed,
        "median_s": round(statistics.median(ordered), 2) if ordered else None,
        "p90_s": round(percentile(ordered, 90), 2) if ordered else None,
        "worst_s": round(ordered[-1], 2) if ordered else None,
    }


def faults(line: dict[str, Any]) -> list[str]:
    """Return what is wrong with a line, in words."""
    return [f"{line['case']}: {line['failed']} failovers failed"] if line["failed"] else []


def _once(rig: Rig, case: Case, host: str) -> float:
    lost = {name for name, home in rig.up().items() if home == host}
    at = case.hit(rig, host)
    eyes = Eyes(rig)
    try:
        waiting = set(lost)
        end = at + GIVE_UP_S
        while waiting:
            if time.monotonic() > end:
                raise RigError(f"not running elsewhere after {GIVE_UP_S:g} s: {sorted(waiting)}")
            homes = rig.up()
            waiting -= {
                name
                for name in waiting
                if homes.get(name, host) != host and eyes.see(homes[name], name)
            }
            time.sleep(0.02)
        return time.monotonic() - at
    finally:
        eyes.close()


class Eyes:
    """The bench's own libvirt connections, one per host, straight to the daemons."""

    def __init__(self, rig: Rig) -> None:
        self._hosts = {
            host.name: Libvirtd(
                Target(number, host.name, f"test+tcp://127.0.0.1:{host.daemon_port}/default")
            )
            for number, host in enumerate(rig.box.hosts)
        }

    def see(self, host: str, vm: str) -> bool:
        """Whether libvirt on ``host`` itself lists ``vm`` as running."""
        try:
            guests = self._hosts[host].look(deadline=3).guests
        except HypervisorError:
            return False
        return any(guest.name == vm and guest.state is GuestState.RUNNING for guest in guests)

    def close(self) -> None:
        """Give all connections up."""
        for hypervisor in self._hosts.values():
            hypervisor.close()


def lines(
    rig: Rig, cases: list[str], n: int, say: Callable[[str], object]
) -> Iterator[dict[str, Any]]:
    """Yield one line per case."""
    for name in cases:
        yield measure(rig, CASES[name], n, say)
