"""Whether every HA VM runs that could, or an alert names what is needed (I3)."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from fencing.domain.alerts import AlertKind
from fencing.domain.policy import Policy
from portal.sim.portal import RunView, View
from portal.sim.scene import Scene
from vms.domain.states import ProofKind

#: An HA VM that could run must run, or an alert must say why not, within this many seconds.
RESTART_BOUND_S = 60
#: What the worst paused worker, lost wake-ups and a boot may add to it in random schedules.
SLACK_S = 30
#: Where there are heartbeats, one must stand still before a fence, perhaps through two readers.
STILL_S = 70
_SAYS_NOTHING = (AlertKind.HOST_NOT_RESPONDING, AlertKind.LEASE_HELD)
_OF_ITS_BMC = (AlertKind.BMC_AUTH, AlertKind.BMC_UNREACHABLE, AlertKind.BMC_FOREIGN)


@dataclass
class RestartJudge:
    """Counts, second by second, how long each silent VM has waited for what."""

    scene: Scene
    policy: Policy
    ha: Set[str]
    before: Mapping[str, frozenset[str]]
    say: Callable[[object, str], None]
    # By VM: seconds for which it could run, and for which it waited for others.
    _waits: dict[str, tuple[int, int]] = field(default_factory=dict)
    _unasked: dict[str, int] = field(default_factory=dict)  # by VM: nobody was asked to help

    def forget(self, vm: str) -> None:
        """It runs, or begins anew."""
        self._waits.pop(vm, None)
        self._unasked.pop(vm, None)

    def silent(self, vm: str, view: View) -> None:
        """Judge another second in which no copy of ``vm`` executes."""
        _, wanted, quarantined = view.vms[vm]
        run = next((item for item in view.runs if item.vm == vm and item.proof is None), None)
        called_for = (
            self.scene.portal.engines.works
            and view.armed
            and wanted
            and not quarantined
            and vm not in self.scene.on_purpose
            and not self._waits_for_its_host(vm, view)
        )
        taken = run is not None and self._can_be_taken_over(vm, run.host, view)
        if not called_for or (self._alerted(vm, run, view) and not taken):
            self.forget(vm)
        elif taken:
            self._restarted_in_time(vm, view)
        elif run is not None and (silent := self._unsettled(run)):
            self._waits.pop(vm, None)
            self._somebody_is_asked(vm, silent)
        elif any(self._fit(host, vm, view) for host in self.scene.world.hosts):
            self._unasked.pop(vm, None)
            self._restarted_in_time(vm, view)
        else:
            self.forget(vm)

    def _bound_s(self) -> float:
        still_s = STILL_S if self.scene.world.storage.slots else 0
        return RESTART_BOUND_S + SLACK_S + still_s

    def _somebody_is_asked(self, vm: str, host: str) -> None:
        """No machine can tell whether the host is off, so a person must be told to look."""
        self._unasked[vm] = waited = self._unasked.get(vm, 0) + 1
        if waited > self._bound_s():
            self.say(("lost", vm), f"I3: {vm} waits for a word about {host}, and nobody is asked")

    def _restarted_in_time(self, vm: str, view: View) -> None:
        waited, held = self._waits.get(vm, (0, 0))
        if self._is_held(vm, view):
            held += 1
        else:
            waited += 1
        self._waits[vm] = waited, held
        if waited > self._bound_s() or held > self._bound_s() + self.policy.blocked_wait:
            self.say(("lost", vm), f"I3: {vm} could run, does not, and no alert says why")

    def _is_held(self, vm: str, view: View) -> bool:
        """Whether one that starts before it is not up either, for which it may wait a while."""
        first = self.before.get(vm, frozenset()) & self.ha
        return any(view.vms[name][1] and not self.scene.world.where(name) for name in first)

    def _waits_for_its_host(self, vm: str, view: View) -> bool:
        """Whether it went down with a host that a person reboots or shuts down just now."""
        ended = [run for run in view.runs if run.vm == vm and run.ended_ms is not None]
        last = max(ended, key=lambda run: run.generation, default=None)
        return last is not None and last.host in self.scene.departing

    def _controller_works(self, host: str) -> bool:
        bmc = self.scene.world.bmcs.get(host)
        return bmc is not None and bmc.reachable and not bmc.refuses and bmc.lie is None

    def _can_be_settled(self, host: str) -> bool:
        """Whether a working controller, or the host itself, would tell the run's fate."""
        machine = self.scene.world.hosts[host]
        answers = machine.alive and not machine.isolated and not machine.hung
        return answers or (self._controller_works(host) and not machine.hung)

    def _can_be_taken_over(self, vm: str, host: str, view: View) -> bool:
        """Whether sanlock would give it to a host that is fit, and everybody could see that."""
        world = self.scene.world
        others = [name for name in world.hosts if name != host]
        seen = all(world.storage.reads(name) for name in others)
        known = world.storage.sanlock.holds(vm, host) and host in world.vouched
        dead = not world.hosts[host].alive and not self._controller_works(host)
        return bool(known and dead and seen) and any(self._fit(name, vm, view) for name in others)

    def _unsettled(self, run: RunView) -> str:
        """Return a holder of the run of which no machine can tell whether it is off."""
        holders = [host for host in (run.host, run.to) if host]
        return next((host for host in holders if not self._can_be_settled(host)), "")

    def _fit(self, host: str, vm: str, view: View) -> bool:
        world = self.scene.world
        machine = world.hosts[host]
        used = sum(world.vms[copy.vm].memory_mib for copy in world.copies() if copy.host == host)
        return (
            machine.alive
            and not machine.isolated
            and not machine.hung
            and view.statuses[host][0] == "up"
            and machine.memory_mib - used >= world.vms[vm].memory_mib
            and world.storage.sanlock.grants(vm, host)
        )

    def _went_down_with_a_silent_host(self, vm: str, view: View) -> bool:
        """Whether it was shut down, maybe by its host, about which a person is asked."""
        ended = [run for run in view.runs if run.vm == vm and run.ended_ms is not None]
        last = max(ended, key=lambda run: run.generation, default=None)
        asked = {host for kind, host, _, _ in view.alerts if kind == AlertKind.CONFIRM_REBOOT}
        return last is not None and last.proof == ProofKind.OBSERVED_OFF and last.host in asked

    def _alerted(self, vm: str, run: RunView | None, view: View) -> bool:
        """Whether an alert names what is needed: a person's word is not, where a BMC would tell."""
        host = run.host if run is not None else ""
        kinds = {
            kind
            for kind, of_host, of_vm, _ in view.alerts
            if of_vm == vm or (host and of_host == host) or kind == AlertKind.FORGETFUL_DATABASE
        }
        kinds.difference_update(_SAYS_NOTHING)
        if run is None and self._went_down_with_a_silent_host(vm, view):
            return True
        if host and self._controller_works(host):
            kinds.discard(AlertKind.CONFIRM_REBOOT)
        elif host and not self._can_be_settled(host):
            kinds.difference_update(_OF_ITS_BMC)  # repairing that is not all that is needed
        return bool(kinds)
