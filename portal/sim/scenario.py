"""A scenario: machines, VMs, what happens to them, and what is expected.  Strictly parsed."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from fencing.domain.policy import PolicyError, validate
from portal.sim.words import WORDS
from vms.domain.affinity import RuleKind
from vms.domain.states import ResumeBehaviour
from vms.domain.turns import circle

T = TypeVar("T")
ONE_ENGINE = ("engine1",)


class BadScenario(ValueError):
    """The scenario cannot be understood; the text says what is wrong and what is known."""


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A machine; without networks or storage it does not tell which it has."""

    name: str
    memory_mib: int = 16384
    vcpus: int = 8
    power: str = "on"
    bmc: bool = True
    cpu: str = ""
    networks: tuple[str, ...] | None = None
    storage: tuple[str, ...] | None = None
    watchdog: bool = True  # the portal has been told that its sanlock resets it


@dataclass(frozen=True, slots=True)
class VmSpec:
    """A VM; without a host it is down at the start."""

    name: str
    host: str = ""
    memory_mib: int = 1024
    vcpus: int = 1
    ha: bool = True
    priority: int = 50
    start_tier: int = 2
    starts_after: tuple[str, ...] = ()
    delay: float = 0
    state: str = "up"
    storage: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    cpu: str = ""
    failback: bool = False
    resume_behaviour: str = "auto_resume"
    disks_illegal: str = ""
    lease: str = ""  # storage domain of its host
    portal: bool = False  # the portal runs in it


@dataclass(frozen=True, slots=True)
class AffinitySpec:
    """An affinity rule; without a name it is called rule1, rule2, ... in their order."""

    kind: str
    vms: tuple[str, ...]
    hard: bool = True
    hosts: Mapping[str, int] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class EventSpec:
    """Something that happens at second ``at``; ``args`` are the fault word's own."""

    at: float
    do: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        at = int(self.at) if self.at == int(self.at) else self.at
        said = {"at": at, "do": self.do, **self.args}  # YAML reads a bare off as "no": it quotes
        text = yaml.safe_dump(said, default_flow_style=True, sort_keys=False, width=math.inf)
        return text.strip()


@dataclass(frozen=True, slots=True)
class Cluster:
    """How the cluster is set up."""

    policy: Mapping[str, Any] = field(default_factory=dict)
    armed: bool = True
    shared_storage: bool = True
    needs_hosts: Mapping[str, int] = field(default_factory=dict)  # storage domain: live hosts


@dataclass(frozen=True, slots=True)
class Expect:
    """What must have come true at the end."""

    vms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fenced: tuple[str, ...] = ()
    proofs: Mapping[str, str] = field(default_factory=dict)
    never: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    human_error_splits: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a simulation needs to know."""

    name: str
    hosts: tuple[HostSpec, ...]
    vms: tuple[VmSpec, ...]
    events: tuple[EventSpec, ...] = ()
    until: float = 300
    cluster: Cluster = Cluster()
    expect: Expect | None = None
    affinity: tuple[AffinitySpec, ...] = ()
    engines: tuple[str, ...] = ONE_ENGINE


_PARTS = ("cluster", "engines", "hosts", "vms", "affinity", "events", "until", "expect")


def load(folder: Path) -> Scenario:
    """Read ``scenario.yaml`` of a folder; :class:`BadScenario` names the first mistake."""
    try:
        text = (folder / "scenario.yaml").read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise BadScenario(f"{folder.name}: {error}") from None
    return parse(folder.name, raw)


def parse(name: str, raw: object) -> Scenario:
    """Return the scenario that ``raw``, as read from YAML, describes."""
    top = _mapping(raw, "the scenario")
    _only(top, _PARTS, "the scenario")
    hosts = tuple(_build(HostSpec, item, "a host") for item in top.get("hosts", ()))
    vms = tuple(_build(VmSpec, item, "a vm") for item in top.get("vms", ()))
    events = tuple(sorted(map(_event, top.get("events", ())), key=lambda event: event.at))
    scenario = Scenario(
        name=name,
        hosts=hosts,
        vms=(*vms, *_entered(vms, events)),
        events=events,
        until=float(top.get("until", 300)),
        cluster=_build(Cluster, top.get("cluster", {}), "cluster"),
        expect=_build(Expect, top["expect"], "expect") if "expect" in top else None,
        affinity=tuple(
            _build(AffinitySpec, {"name": f"rule{number}", **_mapping(item, "a rule")}, "a rule")
            for number, item in enumerate(top.get("affinity", ()), 1)
        ),
        engines=_engines(top.get("engines", list(ONE_ENGINE))),
    )
    _check_names(scenario)
    return scenario


def _entered(vms: Sequence[VmSpec], events: Iterable[EventSpec]) -> Iterator[VmSpec]:
    """Yield the VMs that are first named when somebody enters them."""
    known = {vm.name for vm in vms}
    for event in events:
        name = str(event.args.get("vm", ""))
        if event.do == "admin.add_vm" and name not in known:
            known.add(name)
            told = {key: value for key, value in event.args.items() if key != "vm"}
            yield VmSpec(name, state="absent", **told)


def _engines(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list) or not raw or not all(isinstance(name, str) for name in raw):
        raise BadScenario(f"engines: must be a list of names such as [engine1], not {raw!r}")
    if len(set(raw)) != len(raw):
        raise BadScenario(f"engines: a name stands twice in {raw!r}")
    return tuple(raw)


def _mapping(raw: object, what: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise BadScenario(f"{what} must be a mapping, not {raw!r}")
    return raw


def _only(raw: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    for key in raw:
        if key not in known:
            raise BadScenario(f"{what}: {key!r} is unknown; known are {', '.join(sorted(known))}")


def _build(kind: type[T], raw: object, what: str) -> T:
    given = _mapping(raw, what)
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]  # every T here is a dataclass
    _only(given, known, what)
    for name, item in known.items():
        if item.default is MISSING and item.default_factory is MISSING and name not in given:
            raise BadScenario(f"{what}: {name!r} is missing in {dict(given)}")
    return kind(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    )


def _event(raw: object) -> EventSpec:
    given = dict(_mapping(raw, "an event"))
    if "at" not in given or "do" not in given:
        raise BadScenario(f"an event needs 'at' and 'do': {given}")
    at, do = float(given.pop("at")), str(given.pop("do"))
    word = WORDS.get(do)
    if word is None:
        raise BadScenario(f"{do!r} is not a known fault word; known are {', '.join(sorted(WORDS))}")
    _only(given, (*word.needs, *word.takes), do)
    missing = [key for key in word.needs if key not in given]
    if missing:
        raise BadScenario(f"{do} needs {', '.join(missing)}")
    return EventSpec(at, do, given)


def _check_names(scenario: Scenario) -> None:
    hosts = {host.name for host in scenario.hosts}
    vms = {vm.name for vm in scenario.vms}
    _check_vms(scenario, hosts)
    _check_order(scenario)
    _check_rules(scenario, hosts, vms)
    names = {"host": hosts, "with": hosts, "vm": vms, "reader": hosts, "to": hosts}
    names["domain"] = _domains(scenario)
    names["other"] = vms
    names["engine"] = set(scenario.engines)
    for event in scenario.events:
        for key, known in names.items():
            if key in event.args and event.args[key] not in known:
                raise BadScenario(f"{event.do}: there is no {key} {event.args[key]!r}")
    try:
        validate(dict(scenario.cluster.policy))
    except PolicyError as error:
        raise BadScenario(f"cluster: policy: {error}") from None


def _check_vms(scenario: Scenario, hosts: set[str]) -> None:
    for vm in scenario.vms:
        if vm.host and vm.host not in hosts:
            raise BadScenario(f"{vm.name}: there is no host {vm.host!r}")
        if vm.resume_behaviour not in list(ResumeBehaviour):
            choices = ", ".join(ResumeBehaviour)
            raise BadScenario(f"{vm.name}: resume_behaviour must be one of {choices}")
        if vm.lease and vm.lease not in _domains(scenario):
            raise BadScenario(f"{vm.name}: lease: there is no storage domain {vm.lease!r}")
    if sum(vm.portal for vm in scenario.vms) > 1:
        raise BadScenario("portal: the portal runs in one VM at most")


def _domains(scenario: Scenario) -> set[str]:
    return {name for host in scenario.hosts for name in host.storage or ()}


def _check_order(scenario: Scenario) -> None:
    pks = {vm.name: pk for pk, vm in enumerate(scenario.vms)}
    after: dict[int, list[int]] = {}
    for vm in scenario.vms:
        for name in vm.starts_after:
            if name not in pks:
                raise BadScenario(f"{vm.name}: starts_after: there is no VM {name!r}")
        after[pks[vm.name]] = [pks[name] for name in vm.starts_after]
    for vm in scenario.vms:
        way = circle(after, pks[vm.name])
        if way:
            names = " after ".join(scenario.vms[pk].name for pk in [*way, pks[vm.name]])
            raise BadScenario(f"{vm.name}: starts_after leads in a circle: {names}")


def _check_rules(scenario: Scenario, hosts: set[str], vms: set[str]) -> None:
    for rule in scenario.affinity:
        if rule.kind not in list(RuleKind):
            kinds = ", ".join(RuleKind)
            raise BadScenario(f"{rule.name}: {rule.kind!r} is no kind; known are {kinds}")
        for name in (*(set(rule.vms) - vms), *(set(rule.hosts) - hosts)):
            raise BadScenario(f"{rule.name}: there is no {name!r}")
