"""One simulation from beginning to end: build the world, let things happen, judge."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random

from fencing.domain.policy import layered
from portal.sim.full import FullPortal, full_portal
from portal.sim.oracle import Oracle
from portal.sim.portal import Portal, Start, View
from portal.sim.pure import PurePortal
from portal.sim.pure_work import LOOK
from portal.sim.repair import bring_back, repair, unfinished
from portal.sim.scenario import EventSpec, Scenario
from portal.sim.scene import Scene
from portal.sim.timeline import Timeline
from portal.sim.truth import Executing, Witness
from portal.sim.wire import Wire
from portal.sim.words import do
from portal.sim.world import World
from portal.sim.worldly import WorldVm
from vms.domain.affinity import Rule, RuleKind

#: After all faults are repaired the world must have converged within this many seconds.
CONVERGE_S = 400
_STEP_S = 5
#: A world that has been whole for so long, with no fault to come, stays so.
REST_S = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a simulation."""

    scenario: Scenario
    log: tuple[str, ...]
    violations: tuple[str, ...]
    splits: int
    human_splits: int
    view: View
    where: dict[str, list[str]]  # vm: hosts on which it executes at the end
    power: dict[str, str]
    gaps: dict[str, float]  # vm: seconds in which no copy executed
    deaths: tuple[int, ...]  # when engines died, in ms
    truth: tuple[Executing, ...]  # where copies executed, change by change


class Simulation:
    """A world, a portal over it, and the oracle that watches both."""

    def __init__(self, scenario: Scenario, world: World, wire: Wire, portal: Portal) -> None:
        self.scenario, self.world, self.portal = scenario, world, portal
        self.line = world.line
        self.log: list[str] = []
        self.gaps = dict.fromkeys(world.vms, 0.0)
        self._seen_version = -1
        self._witness = Witness(world)
        scene = Scene(world, portal, {}, scenario.cluster.armed)
        self.scene = scene
        policy = layered(scenario.cluster.policy)
        scene.ha.update(portal.view().ha)
        self.oracle = Oracle(scene, wire, policy, scene.ha, _before(scenario))

    def run(self, *, converge: bool) -> Outcome:
        """Let everything happen; with ``converge``, repair all faults at the end and wait."""
        self.line.after_each = self._watch
        self._witness.look(0)
        for pk in self.world.host_pks.values():
            self.portal.engines.send(LOOK, (pk,), None)
        self.line.after(0.5, self.portal.engines.beat)
        self.line.after(1.0, self._tick)
        for event in self.scenario.events:
            if event.do == "db.restore_old":
                then = round((event.at - float(event.args["s"])) * 1000)
                self.line.at(then, self.portal.keep_backup)
            self.line.at(round(event.at * 1000), lambda event=event: self._fault(event))  # type: ignore[misc]  # binds the loop's event
        if converge:
            self._until_it_rests()
        else:
            self.line.run_until(self.scenario.until)
        view, log = self.portal.view(), tuple(self.log)
        truth = tuple(self._witness.seen)
        if converge:
            self._converge()
        self._errors()
        return Outcome(
            scenario=self.scenario,
            log=log,
            violations=tuple(self.oracle.violations),
            splits=self.oracle.splits,
            human_splits=self.oracle.human_splits,
            view=view,
            where={vm: self.world.where(vm) for vm in self.world.vms},
            power={
                name: "on" if host.powered else "off" for name, host in self.world.hosts.items()
            },
            gaps=self.gaps,
            deaths=tuple(self.portal.engines.deaths),
            truth=truth,
        )

    def _fault(self, event: EventSpec) -> None:
        words = "".join(f" {value}" for value in event.args.values())
        self.log.append(f"{self.line.seconds:8.1f}  ! {event.do}{words}")
        do(self.scene, event.do, event.args)

    def _watch(self) -> None:
        events = self.portal.take_log()
        if events:
            self.log.extend(map(str, events))
            self.oracle.after_events(events)
        if self.world.version != self._seen_version:
            self._seen_version = self.world.version
            self.world.storage.sanlock.settle()
            self._live_or_die()
            self.oracle.after_world()
            self._witness.look(len(self.log))

    def _live_or_die(self) -> None:
        """A portal that runs in a VM of this world lives as long as that does."""
        own, engines = self.world.own_vm, self.portal.engines
        if not own:
            return
        runs = any(copy.vm == own and copy.writes for copy in self.world.copies())
        if runs and not engines.alive:
            self.portal.start_engines()
        for node in engines.nodes if not runs else ():
            if node.alive:
                self.portal.kill(node.name)

    def _tick(self) -> None:
        for vm in self.world.vms:
            if not self.world.where(vm):
                self.gaps[vm] += 1
        self.oracle.tick()
        self.line.after(1.0, self._tick)

    def _until_it_rests(self) -> None:
        """Let everything happen until the world has been whole for a while, and stays so."""
        last = max((event.at for event in self.scenario.events), default=0.0)
        whole_since = last
        while self.line.seconds < self.scenario.until:
            self.line.run_until(min(self.line.seconds + _STEP_S, self.scenario.until))
            if self.line.seconds < last or unfinished(self.scene):
                whole_since = self.line.seconds
            if self.line.seconds - whole_since >= REST_S:
                return

    def _converge(self) -> None:
        repair(self.scene)
        end = self.line.seconds + CONVERGE_S
        while self.line.seconds < end:
            self.line.run_until(self.line.seconds + _STEP_S)
            bring_back(self.scene)
            if not unfinished(self.scene):
                return
        left = "; ".join(unfinished(self.scene))
        self.oracle.violations.append(f"{self.line.seconds:.1f}: I6: no convergence: {left}")

    def _errors(self) -> None:
        if isinstance(self.portal, FullPortal):
            texts = [f"{type(error).__name__}: {error}" for error in self.portal.fibers.errors]
            for text in dict.fromkeys(texts):
                self.oracle.violations.append(f"a task failed {texts.count(text)} times: {text}")


def _before(scenario: Scenario) -> dict[str, frozenset[str]]:
    """Return for each VM those of lower tiers, and all that anybody starts after."""
    needed = {name for vm in scenario.vms for name in vm.starts_after}
    return {
        vm.name: frozenset(
            other.name
            for other in scenario.vms
            if other is not vm and (other.start_tier < vm.start_tier or other.name in needed)
        )
        for vm in scenario.vms
    }


def build_world(scenario: Scenario) -> World:
    """Return the machines and VMs of ``scenario``."""
    world = World(Timeline())
    for pk, host in enumerate(scenario.hosts, 1):
        on = host.power != "off"
        world.add_host(pk, host.name, host.memory_mib, host.vcpus, on=on, bmc=host.bmc)
        machine = world.hosts[host.name]
        machine.networks, machine.storage = host.networks, host.storage
        if host.cpu:
            machine.cpu_arch, _, machine.cpu_model = host.cpu.partition("/")
        for domain in host.storage or ():
            world.storage.join(host.name, domain)
    world.storage.needs = dict(scenario.cluster.needs_hosts)
    world.vouched = {host.name for host in scenario.hosts if host.watchdog}
    world.storage.sanlock.no_watchdog = set(world.hosts) - world.vouched
    pks = {vm.name: pk for pk, vm in enumerate(scenario.vms, 1)}
    for pk, vm in enumerate(scenario.vms, 1):
        uuid = f"00000000-0000-4000-8000-0000000000{pk:02x}"
        disk = f"/images/{vm.name}.qcow2"
        xml = (
            f"<domain type='kvm'><name>{vm.name}</name><uuid>{uuid}</uuid>"
            f"<memory unit='MiB'>{vm.memory_mib}</memory><vcpu>{vm.vcpus}</vcpu>"
            "<devices><disk type='file' device='disk'><driver name='qemu' cache='none'/>"
            f"<source file='{disk}'/></disk></devices></domain>"
        )
        world.vms[vm.name] = WorldVm(
            pk, vm.name, uuid, xml, disk, vm.memory_mib, vm.vcpus, vm.ha, vm.priority,
            vm.start_tier, tuple(pks[name] for name in vm.starts_after), vm.delay,
            vm.cpu, vm.networks, vm.storage, vm.failback,
            vm.resume_behaviour, vm.disks_illegal, vm.lease,
        )  # fmt: skip
        if vm.lease:
            world.storage.lease(vm.lease, pk, uuid)
        if vm.host:
            world.place(vm.name, vm.host, 1)
        if vm.portal:
            world.own_vm, world.own_uuid = vm.name, uuid
    return world


def _rules(scenario: Scenario, world: World) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            pk,
            rule.name,
            RuleKind(rule.kind),
            rule.hard,
            frozenset(world.vms[name].pk for name in rule.vms),
            {world.host_pks[name]: int(priority) for name, priority in rule.hosts.items()},
        )
        for pk, rule in enumerate(scenario.affinity, 1)
    )


@contextmanager
def _portal(depth: str, wire: Wire, start: Start, random: Random | None) -> Iterator[Portal]:
    if depth == "pure":
        yield PurePortal(wire, start, random)
    else:
        with full_portal(wire, start, random) as portal:
            yield portal


def simulate(
    scenario: Scenario, depth: str = "full", seed: int | None = None, *, converge: bool = False
) -> Outcome:
    """Run ``scenario``; a ``seed`` draws delays, losses and pauses, without one there are none."""
    world = build_world(scenario)
    start = Start(
        policy=scenario.cluster.policy,
        armed=scenario.cluster.armed,
        homes={vm.name: vm.host for vm in scenario.vms if vm.host},
        down=frozenset(vm.name for vm in scenario.vms if vm.state == "down" and not vm.ha),
        rules=_rules(scenario, world),
        engines=scenario.engines,
        absent=frozenset(vm.name for vm in scenario.vms if vm.state == "absent"),
    )
    random = None if seed is None else Random(seed)  # noqa: S311 - repeatable luck, no secret
    wire = Wire(world, random)
    with _portal(depth, wire, start, random) as portal:
        return Simulation(scenario, world, wire, portal).run(converge=converge)


def without(scenario: Scenario, index: int) -> Scenario:
    """Return ``scenario`` without one of its events."""
    events = scenario.events[:index] + scenario.events[index + 1 :]
    return replace(scenario, events=events)
