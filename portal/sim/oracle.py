"""The judge: compares what the portal believes with the world's truth, after every step."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from fencing.domain.policy import Policy
from portal.sim.judges import PowerJudge
from portal.sim.log import Happened
from portal.sim.portal import ABSENT, Portal, RunView, View
from portal.sim.restart_judge import RestartJudge
from portal.sim.scene import Scene
from portal.sim.wire import Wire
from portal.sim.worldly import Copy
from vms.domain.neighbours import TOGETHER
from vms.domain.restart import HOST_SHUTDOWN_WINDOW
from vms.domain.states import HOST_PROOFS, ProofKind

#: A host in maintenance or down is looked at every 10 s; then a copy must be found.
FOUND_WITHIN_MS = 25_000
#: Who reads the two shutdowns of one host by two lists sees them so much further apart at most.
BESIDE_MS = TOGETHER.total_seconds() * 1000 + 20_000


@dataclass
class Oracle:
    """Counts split brains and writes down every broken invariant, once."""

    scene: Scene
    wire: Wire
    policy: Policy
    ha: Set[str]
    before: Mapping[str, frozenset[str]] = field(default_factory=dict)  # VM: who starts first
    splits: int = 0
    human_splits: int = 0
    violations: list[str] = field(default_factory=list)
    _closed: dict[tuple[str, int], RunView] = field(default_factory=dict)
    _opened_runs: dict[tuple[str, int], RunView] = field(default_factory=dict)
    _told: set[object] = field(default_factory=set)
    _strays: dict[tuple[str, str], int] = field(default_factory=dict)
    _lost: dict[str, int] = field(default_factory=dict)
    _excused: set[tuple[str, int | None]] = field(default_factory=set)
    _lies_at: dict[str, int] = field(default_factory=dict)  # host that lives: read off then
    _power: PowerJudge = field(init=False)
    _restarts: RestartJudge = field(init=False)

    def __post_init__(self) -> None:
        self._power = PowerJudge(self.scene, self.wire, self.policy, self.ha, self._say)
        self._restarts = RestartJudge(self.scene, self.policy, self.ha, self.before, self._say)

    @property
    def _ms(self) -> int:
        return self.scene.world.line.ms

    @property
    def _portal(self) -> Portal:
        return self.scene.portal

    def _say(self, key: object, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self.violations.append(f"{self._ms / 1000:.1f}: {text}")

    # After every step

    def after_events(self, events: Iterable[Happened]) -> None:
        """Judge what the portal just did."""
        for event in events:
            self._power.moved(event)
            if event.kind == "host.proven_off":
                self._lost[event.host] = event.ms
            elif event.kind == "run.proof":
                if event.detail in HOST_PROOFS:
                    self._lost[event.host] = event.ms
                self._learn_runs()
            elif event.kind == "bmc.reading":
                self._heard(event)
            elif event.kind in ("vm.adopted", "vm.starting", "vm.taken_over"):
                self._opened(event)
            elif event.kind == "vm.start_failed":
                self._restarts.forget(event.vm)

    def _heard(self, event: Happened) -> None:
        if event.detail == "off" and self.scene.world.hosts[event.host].powered:
            self._lies_at.setdefault(event.host, event.ms)
        else:
            self._lies_at.pop(event.host, None)

    def _is_caught(self, host: str, view: View) -> bool:
        """Whether its BMC's lie was read, and the host answered afterwards (row 1)."""
        lie, seen = self._lies_at.get(host), view.seen[host]
        return lie is not None and seen is not None and seen > lie

    def _opened(self, event: Happened) -> None:
        self._learn_runs()
        self._restarts.forget(event.vm)
        if event.kind == "vm.starting":
            self._started_against_a_wish(event)
        self.scene.on_purpose.pop(event.vm, None)  # it lives anew

    def _learn_runs(self) -> None:
        view = self._portal.view()
        open_now: set[str] = set()
        self._opened_runs = {(run.vm, run.generation): run for run in view.runs}
        for run in view.runs:
            if run.proof is not None:
                if (run.vm, run.generation) not in self._closed:
                    self._learn_proof(run, view)
                self._closed[run.vm, run.generation] = run
            elif run.vm in open_now:
                self._say(("two", run.vm), f"I2: {run.vm} has two open runs")
            else:
                open_now.add(run.vm)
        self.after_world()

    def _learn_proof(self, run: RunView, view: View) -> None:
        """A lie excuses a false proof, but only where the portal had not heard better."""
        caught = run.proof == ProofKind.POWER_OFF and self._is_caught(run.host, view)
        slept = self.scene.world.hosts[run.host].asleep  # off, and yet it will go on
        if slept or (self.scene.world.lied_about(run.host, run.proof or "") and not caught):
            self._excused.add((run.vm, run.generation))
        seen, ended = view.seen[run.host], run.ended_ms
        if run.proof != ProofKind.POWER_OFF or seen is None or ended is None or seen < ended:
            return
        if run.host in self.scene.world.where(run.vm):
            text = f"I2: false proof power_off: {run.host} answered after it was read off"
            self._say(("record", run.vm, run.generation), text)

    def after_world(self) -> None:
        """Judge who executes (I1, the truth of every proof) and who was powered off (I7)."""
        self._power.new_cuts()
        world, writers = self.scene.world, dict[str, list[Copy]]()
        for copy in world.copies():
            self._proof_is_true(copy)
        for copy in (*world.copies(), *world.storage.under_way()):
            for disk in copy.disks if copy.writes else ():
                writers.setdefault(disk, []).append(copy)
        for disk, copies in writers.items():
            if len(copies) > 1:
                self._split(disk, copies)
            else:
                self._told.discard(("split", disk))

    def _is_excused(self, copy: Copy) -> bool:
        """Whether it executes by the doing of a stranger, or after a lie that was believed."""
        outside = (copy.vm, copy.host) in self.scene.world.outside
        return outside or (copy.vm, copy.generation) in self._excused

    def _is_guarded(self, copy: Copy) -> bool:
        """Whether sanlock should have refused a second copy, although a person was believed."""
        run = self._closed.get((copy.vm, copy.generation or 0))
        by_word = run is not None and run.proof == ProofKind.MANUAL
        return by_word and self.scene.world.storage.sanlock.guards(copy.vm, copy.host)

    def _split(self, disk: str, copies: list[Copy]) -> None:
        if ("split", disk) in self._told:
            return
        if any(self._is_excused(copy) and not self._is_guarded(copy) for copy in copies):
            self._told.add(("split", disk))
            self.human_splits += 1
        else:
            self.splits += 1
            whose = " and ".join(sorted({copy.vm for copy in copies}))
            where = " and ".join(copy.host for copy in copies)
            self._say(("split", disk), f"I1: split brain of {whose} on {where}")

    def _proof_is_true(self, copy: Copy) -> None:
        run = self._closed.get((copy.vm, copy.generation or 0))
        if run is not None and not self._is_excused(copy) and not self._moved_on(run, copy):
            text = f"I2: false proof {run.proof}: {copy.vm} executes on {copy.host}"
            self._say(("proof", copy.vm, copy.generation), f"{text}, generation {run.generation}")

    def _moved_on(self, run: RunView, copy: Copy) -> bool:
        """Whether the copy was migrated, and the next run of its VM goes on with it there."""
        after = self._opened_runs.get((run.vm, run.generation + 1))
        return copy.host != run.host and after is not None and after.host == copy.host

    def _started_against_a_wish(self, event: Happened) -> None:
        since = self.scene.on_purpose.get(event.vm)
        if since is None:
            return
        view = self._portal.view()
        mine = [run for run in view.runs if run.vm == event.vm and run.ended_ms is not None]
        last = mine[-1] if mine else None
        wanted = view.vms[event.vm][1]
        seen_off = last is not None and last.proof == "observed_off" and last.ended_ms is not None
        if not wanted:
            self._say(("wish", event.vm), f"I4: {event.vm} was stopped by a person and is started")
        elif seen_off and last is not None and not self._host_did_it(last, since, view):
            text = f"I4: {event.vm} was shut down on purpose and is started"
            self._say(("wish", event.vm), text)

    def _host_did_it(self, last: RunView, since: int, view: View) -> bool:
        """Whether the shutdown was the host's own doing, as far as anybody can tell."""
        lost = self._lost.get(last.host)
        if last.host in self.scene.departed:
            return True  # its VMs were asked to shut down at the same time
        if lost is not None and lost - since <= HOST_SHUTDOWN_WINDOW.total_seconds() * 1000:
            return True
        booted = self.scene.world.booted_ms[last.host]
        if since < booted <= since + HOST_SHUTDOWN_WINDOW.total_seconds() * 1000 + BESIDE_MS:
            return True
        beside = [run for run in view.runs if run.host == last.host and run.vm != last.vm]
        began = [run for run in beside if run.began_ms <= since]
        ended = [
            run for run in began if run.ended_ms is not None and run.ended_ms >= since - BESIDE_MS
        ]
        return bool(ended) and all(run.ended_ms is not None for run in began)

    # Every second

    def tick(self) -> None:
        """Judge what should have happened by now (I3, unnoticed copies)."""
        self._power.tick(self._ms)
        silent = [vm for vm in sorted(self.ha) if not self.scene.world.where(vm)]
        strays = self._strays or len(list(self.scene.world.copies())) > len(self.ha)
        if silent or strays:
            view = self._portal.view()
            for vm in silent:
                self._restarts.silent(vm, view)
            self._noticed(view)
        for vm in self.ha - set(silent):
            self._restarts.forget(vm)

    def _noticed(self, view: View) -> None:
        """A copy beside the open run must be suspended or alarmed once its host is seen."""
        opened = {run.vm: run for run in view.runs if run.proof is None}
        now_strays = set()
        for copy in self.scene.world.copies():
            run = opened.get(copy.vm)
            machine = self.scene.world.hosts[copy.host]
            hidden = machine.isolated or machine.hung or not self._portal.engines.works
            hidden = hidden or self.scene.world.is_forgotten(copy)
            hidden = hidden or view.vms[copy.vm][0] == ABSENT[0]  # nobody looks after it
            known = run is not None and copy.host in (run.host, run.to)
            if known or hidden or not copy.writes:
                continue
            now_strays.add((copy.vm, copy.host))
            since = self._strays.setdefault((copy.vm, copy.host), self._ms)
            if self._ms - since > FOUND_WITHIN_MS and not view.vms[copy.vm][2]:
                text = f"I2: a copy of {copy.vm} executes on {copy.host} and nobody noticed"
                self._say(("stray", copy.vm), text)
        self._strays = {key: at for key, at in self._strays.items() if key in now_strays}
