"""What a simulation tells a program (``--json``, stable) and whether it met its expectation."""

from collections.abc import Iterator
from typing import Any

from portal.sim.scenario import Expect
from portal.sim.simulation import Outcome


def report(outcome: Outcome) -> dict[str, Any]:
    """Return what came of a simulation: its result, figures and broken rules."""
    view = outcome.view
    return {
        "scenario": outcome.scenario.name,
        "ended_at": outcome.scenario.until,
        "split_brains": outcome.splits,
        "human_error_splits": outcome.human_splits,
        "violations": [*outcome.violations, *unmet(outcome)],
        "vms": {name: _vm(outcome, name) for name in view.vms},
        "hosts": {
            name: {"status": status, "ha_state": ha, "power": outcome.power[name]}
            for name, (status, ha) in view.statuses.items()
        },
        "fences": [
            {"host": host, "at": at / 1000, "outcome": how} for host, at, how in view.fences
        ],
        "alerts": [
            {"at": at / 1000, "kind": kind, "host": host, "vm": vm}
            for kind, host, vm, at in sorted(view.alerts, key=_by_age)
        ],
        "log": list(outcome.log),
    }


def _by_age(alert: tuple[str, str, str, int]) -> tuple[int, str, str, str]:
    """Oldest first; a whole order, as the order within a set differs from process to process."""
    kind, host, vm, at = alert
    return at, kind, host, vm


def _vm(outcome: Outcome, name: str) -> dict[str, Any]:
    runs = sorted(
        (run for run in outcome.view.runs if run.vm == name), key=lambda run: run.generation
    )
    return {
        "state": outcome.view.vms[name][0],
        "host": home(outcome, name),
        "downtime_s": outcome.gaps[name],
        "runs": [
            {
                "host": run.host,
                "from": run.began_ms / 1000,
                "to": None if run.ended_ms is None else run.ended_ms / 1000,
                "proof": run.proof,
            }
            for run in runs
        ],
    }


def home(outcome: Outcome, vm: str) -> str | None:
    """Return the host of the VM's open run."""
    opened = [run.host for run in outcome.view.runs if run.vm == vm and run.proof is None]
    return opened[0] if opened else None


def unmet(outcome: Outcome) -> list[str]:
    """Return every expectation of the scenario that did not come true."""
    expect = outcome.scenario.expect
    return [] if expect is None else [f"expected {text}" for text in _unmet(outcome, expect)]


def _unmet(outcome: Outcome, expect: Expect) -> Iterator[str]:
    for vm, wanted in expect.vms.items():
        yield from _vm_unmet(outcome, vm, wanted)
    yield from _fences_unmet(outcome, expect)
    for vm, proof in expect.proofs.items():
        kinds = [run.proof for run in outcome.view.runs if run.vm == vm and run.proof]
        if proof not in kinds:
            yield f"{vm}: a proof {proof}, got {kinds or 'none'}"
    open_kinds = {kind for kind, *_ in outcome.view.alerts}
    for kind in expect.alerts:
        if kind not in open_kinds:
            yield f"an open alert {kind}, got {sorted(open_kinds)}"
    if outcome.human_splits != expect.human_error_splits:
        yield f"human_error_splits {expect.human_error_splits}, got {outcome.human_splits}"


def _fences_unmet(outcome: Outcome, expect: Expect) -> Iterator[str]:
    fenced = sorted({host for host, _, how in outcome.view.fences if how == "confirmed_off"})
    if sorted(expect.fenced) != fenced:
        yield f"fenced hosts {sorted(expect.fenced)}, got {fenced}"
    for text in expect.never:
        if happened(outcome, text):
            yield f"never {text!r}, but it happened"


def _vm_unmet(outcome: Outcome, vm: str, wanted: Any) -> Iterator[str]:
    state, host = outcome.view.vms[vm][0], home(outcome, vm)
    for key, value in wanted.items():
        if key == "state" and state != value:
            yield f"{vm} {value}, got {state}"
        elif key == "host" and host != value:
            yield f"{vm} on {value}, got {host}"
        elif key == "not_host" and host == value:
            yield f"{vm} not on {value}"
        elif key not in ("state", "host", "not_host"):
            yield f"{vm}: {key!r} is no expectation; known are state, host, not_host"


def happened(outcome: Outcome, text: str) -> bool:
    """Whether "fence HOST" or "start VM" happened."""
    verb, _, name = text.partition(" ")
    if verb == "fence":
        return any(host == name for host, *_ in outcome.view.fences)
    if verb == "start":
        return any(f"  {name} on " in line and ": vm.starting" in line for line in outcome.log)
    raise ValueError(f"never: {text!r} must be 'fence HOST' or 'start VM'")
