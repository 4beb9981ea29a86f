"""Safety rules of the architecture, each as it can be switched off, and what finds it missing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from fencing.domain import decision, evidence, guards, restarts
from hosts.domain import tracks
from hosts.domain.heartbeat import Beat, HeartbeatEvidence
from portal.sim import pure_findings, pure_guests, pure_looks, pure_runs
from portal.sim.scenario import EventSpec, HostSpec, Scenario, VmSpec
from portal.sim.schedules import schedule
from vms.domain import proofs, restart
from vms.domain.sightings import Sighting
from vms.domain.states import EndReason

Make = Callable[[int], Scenario]


@dataclass(frozen=True)
class Rule:
    """A rule by its name, how to switch it off, the schedules that need it, what breaks."""

    name: str
    off: Callable[[pytest.MonkeyPatch], None]
    make: Make
    breaks: str  # how the first violation begins


def always(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def patched(*targets: tuple[Any, str, Any]) -> Callable[[pytest.MonkeyPatch], None]:
    def off(patch: pytest.MonkeyPatch) -> None:
        for module, name, value in targets:
            patch.setattr(module, name, value)

    return off


def without_guard(guard: guards.Guard) -> Callable[[pytest.MonkeyPatch], None]:
    def off(patch: pytest.MonkeyPatch) -> None:
        for name in ("GUARDS", "LAST_MOMENT"):
            kept = tuple(item for item in getattr(guards, name) if item is not guard)
            patch.setattr(guards, name, kept)

    return off


def _believe_absence(book: Any, _wire: Any, op: Any, _deadline: float) -> Iterator[None]:
    """Settle a run by the list that lacks it: no destroy, no look at the others."""
    run = pure_runs.by_pk(book, op.run)
    if run is not None:
        pure_runs.stopped(book, op, run, EndReason.CRASHED)
    yield from ()


def weighted(**weights: int) -> Make:
    words = {name.replace("__", "."): weight for name, weight in weights.items()}
    return lambda seed: schedule(seed, weights=words)


def three(seed: int, events: list[EventSpec], *, until: float = 90) -> Scenario:
    return Scenario(
        name=f"seed {seed}",
        hosts=(HostSpec("node1"), HostSpec("node2"), HostSpec("node3")),
        vms=(VmSpec("vm1", "node1"), VmSpec("vm2", "node2")),
        events=tuple(sorted(events, key=lambda event: event.at)),
        until=until,
    )


def _heard_since(seed: int) -> Scenario:
    """A host speaks again between the first reading of a lying "off" and the proof."""
    random = Random(seed)  # noqa: S311 - repeatable luck, no secret
    start = 30 + random.random()
    back = round(start + random.uniform(8.2, 10), 1)
    lie = round(start + random.uniform(7.5, 9.5), 1)
    return three(
        seed,
        [
            EventSpec(round(start, 1), "host.isolate", {"host": "node1"}),
            EventSpec(lie, "bmc.lie", {"host": "node1", "answer": "off", "identified": True}),
            EventSpec(back, "host.rejoin", {"host": "node1"}),
            EventSpec(round(back + random.uniform(0.5, 4), 1), "host.isolate", {"host": "node1"}),
        ],
    )


def _stranger_meets_restart(seed: int) -> Scenario:
    """A stranger starts a copy just before a person starts the VM through the portal."""
    random = Random(seed)  # noqa: S311 - repeatable luck, no secret
    at = round(40 + random.random() * 4, 1)
    asked = round(at + random.uniform(0.2, 3), 1)
    return three(
        seed,
        [
            EventSpec(10, "admin.observe"),
            EventSpec(30, "vm.crash", {"vm": "vm1"}),
            EventSpec(at, "libvirt.external_start", {"vm": "vm1", "host": "node3"}),
            EventSpec(asked, "admin.start", {"vm": "vm1"}),
        ],
    )


def _swapped_with_one_that_is_off(seed: int) -> Scenario:
    """Two cables are swapped; one host is off, the other cut off: whose "off" is it?"""
    random = Random(seed)  # noqa: S311 - repeatable luck, no secret
    off = round(30 + random.random(), 1)
    return three(
        seed,
        [
            EventSpec(
                round(20 + random.random() * 5, 1), "bmc.swap", {"host": "node1", "with": "node2"}
            ),
            EventSpec(off, "host.power_off", {"host": "node2"}),
            EventSpec(round(off + random.uniform(0, 4), 1), "host.isolate", {"host": "node1"}),
        ],
    )


def _swapped_while_dead(seed: int) -> Scenario:
    """The engine dies inside a fence; cables are swapped before it lives again."""
    random = Random(seed)  # noqa: S311 - repeatable luck, no secret
    start = round(30 + random.random(), 1)
    dead = round(start + random.uniform(7.5, 11.5), 1)
    swapped = round(dead + 20 + random.random(), 1)
    return three(
        seed,
        [
            EventSpec(start, "host.panic", {"host": "node1"}),
            EventSpec(dead, "engine.crash", {"after": random.randint(0, 6)}),
            EventSpec(swapped, "bmc.swap", {"host": "node1", "with": "node2"}),
            EventSpec(round(dead + 65 + random.random(), 1), "engine.start"),
        ],
        until=130,
    )


def _unknown(*_: Any) -> HeartbeatEvidence:
    return HeartbeatEvidence(Beat.UNKNOWN, "not asked")


def _one_cached_reader(seed: int) -> Scenario:
    """The neighbour that is asked first reads from its cache; the other sees a host that lives."""
    random = Random(seed)  # noqa: S311 - repeatable luck, no secret
    start = round(30 + random.random() * 20, 1)
    scenario = three(
        seed,
        [
            EventSpec(start, "storage.stale_read", {"reader": "node2"}),
            EventSpec(start + 1, "host.isolate", {"host": "node1"}),
        ],
        until=130,
    )
    hosts = tuple(replace(host, storage=("shared1",)) for host in scenario.hosts)
    return replace(scenario, hosts=hosts)


RULES = (
    Rule(
        "a BMC's identity must be proven",
        patched((proofs, "identity_is_proven", always(True))),
        _swapped_with_one_that_is_off,
        "I2",
    ),
    Rule(
        "off must be read often enough",
        patched(
            (proofs, "enough_off_reads", lambda count, wanted: count >= 1),
            (proofs, "off_reads_are_apart", always(True)),
        ),
        weighted(bmc__slow_off=3, host__isolate=3),
        "I2",
    ),
    Rule(
        "libvirt must have been silent since the first off",
        patched((proofs, "is_silent_since", always(True))),
        _heard_since,
        "I2",
    ),
    Rule(
        "nobody else may hold the VM when a copy is adopted",
        patched((proofs, "has_no_other_holder", always(True))),
        weighted(libvirt__external_start=3, vm__crash=1),
        "I2",
    ),
    Rule(
        "the ledger refuses a second open run",
        patched((pure_runs, "refuse_second", always(None))),
        _stranger_meets_restart,
        "I2",
    ),
    Rule(
        "too many silent hosts are the engine's own trouble",
        without_guard(guards.too_many_are_silent),
        weighted(host__isolate=5, host__panic=2),
        "I7",
    ),
    Rule(
        "only observing",
        without_guard(guards.only_observing),
        weighted(admin__observe=2, host__isolate=3, host__panic=3),
        "I7",
    ),
    Rule(
        "a fence must gain something",
        without_guard(guards.nobody_gains),
        weighted(host__isolate=3, vm__guest_shutdown=1),
        "I7",
    ),
    Rule(
        "row 4: a living kernel is left alone",
        patched((decision, "kernel_lives", always(False)), (guards, "kernel_lives", always(False))),
        weighted(host__hang=3),
        "I7",
    ),
    Rule(
        "row 3: a heartbeat that advances is left alone",
        patched(
            (decision, "heartbeat_evidence", _unknown),
            (guards, "heartbeat_advances", always(False)),
        ),
        weighted(host__isolate=3, storage__lose=1),
        "I7",
    ),
    Rule(
        "the reader's own heartbeat must move in the same reads",
        patched(
            (tracks, "_reader_moved_at", lambda track, sample: sample.asked_at),
            (guards, "heartbeat_advances", always(False)),
        ),
        _one_cached_reader,
        "I7",
    ),
    Rule(
        "the grace",
        patched((decision, "grace_is_over", always(True))),
        weighted(host__isolate=3),
        "I7",
    ),
    Rule(
        "a VM that was shut down on purpose stays down",
        patched(
            (restart, "went_down_on_purpose", always("")),
            (restarts, "went_down_on_purpose", always("")),
        ),
        weighted(vm__guest_shutdown=3),
        "I4",
    ),
    Rule(
        "only an ending that libvirt has seen itself ends a run",
        patched((proofs, "reason_proves_end", always(True))),
        weighted(host__libvirtd_restart=3, vm__crash=1),
        "I2",
    ),
    Rule(
        "a copy that is absent is destroyed, and looked for everywhere",
        patched((pure_guests, "_KINDS", {**pure_guests._KINDS, "settle": _believe_absence})),
        weighted(host__libvirtd_restart=6),
        "I2",
    ),
    Rule(
        "a copy of a closed generation is suspended and told",
        patched((pure_looks, "HANDLERS", {**pure_findings.HANDLERS, Sighting.STALE: always(None)})),
        weighted(libvirt__external_start=4, host__isolate=3),
        "I2",
    ),
    Rule(
        "an old answer of a BMC is no answer",
        patched((evidence, "is_fresh", lambda asked_at, now: asked_at is not None)),
        _swapped_while_dead,
        "I7",
    ),
)


@contextmanager
def switched_off(rule: Rule) -> Iterator[None]:
    """Let ``rule`` not hold until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        rule.off(patch)
        yield


__all__ = [
    "RULES",
    "Rule",
    "always",
    "patched",
    "switched_off",
    "three",
    "weighted",
    "without_guard",
]
