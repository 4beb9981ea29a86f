"""Which power commands were justified (I7): what the portal knew when it cut a host's power."""

from collections.abc import Callable, Set
from dataclasses import dataclass, field

from fencing.domain.policy import Policy
from hosts.domain.states import HostStatus
from portal.sim.log import Happened
from portal.sim.portal import View
from portal.sim.scene import Scene
from portal.sim.wire import Wire

#: Whose BMC it is was asked so long before the command at most: cables swapped later go unseen.
IDENTITY_MS = 11_000
#: A power command decided upon just before may still be on its way.
TOLERANCE_MS = 3000
#: A sign of life, or the wish to observe, this old must have stopped it.
LIFE_MS = 15_000
#: Two renewals of a heartbeat, of which one and its delay may lie before the last good look.
STILL_MS = 15_000
#: How the shutdown or reboot that a person asked for ends.
_GONE = ("host.shut_down", "host.rebooted", "depart.failed", "operation.cancelled")
_SILENT = ("non_responsive", "kdumping")
_STATUSES = frozenset(HostStatus)


@dataclass
class PowerJudge:
    """Remembers signs of life, and judges every cut of power by them."""

    scene: Scene
    wire: Wire
    policy: Policy
    ha: Set[str]
    say: Callable[[object, str], None]
    _cuts: int = 0
    _crowd_since: int | None = None
    _status: dict[str, str] = field(default_factory=dict)
    _alive_since: dict[str, int] = field(default_factory=dict)
    _beating_since: dict[tuple[str, str], int] = field(default_factory=dict)  # (host, reader)
    _blind_at: dict[str, int] = field(default_factory=dict)  # neighbour: when it last saw nothing
    _writing_since: dict[str, int] = field(default_factory=dict)
    _observing_since: int | None = None

    def moved(self, event: Happened) -> None:
        """Note since when so many hosts are silent that no power command may be sent."""
        if event.kind in _GONE:
            self.scene.departing.discard(event.host)
        status = event.kind.partition(".")[2]
        if status not in _STATUSES:
            return
        self._status[event.host] = status
        watched = [
            name for name in self.scene.world.hosts if self._status.get(name, "up") != "pending"
        ]
        silent = [name for name in watched if self._status.get(name) in _SILENT]
        share = 100 * len(silent) / len(watched)
        crowd = len(watched) >= 3 and share >= self.policy.max_unreachable_pct
        self._crowd_since = (self._crowd_since or event.ms) if crowd else None

    def tick(self, ms: int) -> None:
        """Note since when each kernel would answer the engine, and since when it only observes."""
        blind = self.scene.portal.engines.reaches_nobody
        for name, host in self.scene.world.hosts.items():
            if host.alive and not (host.isolated or host.mute or blind):
                self._alive_since.setdefault(name, ms)
            else:
                self._alive_since.pop(name, None)
        self._beats(ms)
        self._disks(ms)
        if self.scene.armed:
            self._observing_since = None
        elif self._observing_since is None:
            self._observing_since = ms

    def _disks(self, ms: int) -> None:
        """Note since when each host's VMs have written where a neighbour could see it."""
        world = self.scene.world
        if self.policy.activity_check != "on":
            return
        write = {copy.host for copy in world.copies() if copy.writes}
        seeing = {name for name in world.hosts if world.storage.reads(name)}
        self._blind_at |= {name: ms for name in world.hosts if name not in seeing}
        for host in world.hosts:
            if host in write and seeing - {host}:
                self._writing_since.setdefault(host, ms)
            else:
                self._writing_since.pop(host, None)

    def _beats(self, ms: int) -> None:
        """Note since when which neighbour could see each host's heartbeat move."""
        if not self.scene.world.storage.slots:
            return
        for host in self.scene.world.hosts:
            for reader in self.scene.world.hosts:
                if self.scene.world.storage.is_seen(host, reader):
                    self._beating_since.setdefault((host, reader), ms)
                else:
                    self._beating_since.pop((host, reader), None)

    def _storage_shows_life(self, ms: int, host: str) -> bool:
        since = [at for (name, _), at in self._beating_since.items() if name == host]
        return any(ms - at > LIFE_MS for at in since)

    def _disks_show_life(self, ms: int, host: str) -> bool:
        """Whether every neighbour could have told for long enough: one that fails tells nothing."""
        watched = self._watched_ms()
        others = (at for name, at in self._blind_at.items() if name != host)
        blind = any(ms - at <= watched for at in others)
        return not blind and ms - self._writing_since.get(host, ms) > watched

    def _watched_ms(self) -> float:
        """How long disks must have been seen written: all samples, and one look that was missed."""
        return 1000 * self.policy.activity_interval * (self.policy.activity_samples + 1) + LIFE_MS

    def new_cuts(self) -> None:
        """Judge the power commands since the last call."""
        cuts = self.wire.cuts[self._cuts :]
        self._cuts = len(self.wire.cuts)
        for ms, address in cuts:
            view = self.scene.portal.view()
            for text in (*self._of_the_engine(ms, address), *self._of_the_host(ms, address, view)):
                self.say(("cut", ms), f"I7: {address} was powered off {text}")

    def _of_the_engine(self, ms: int, host: str) -> list[str]:
        found = []
        home = self.wire.home_of(host)
        if home != host and ms - self.scene.world.swapped_ms > IDENTITY_MS:
            found.append(f"by the BMC of {home}, whose power it cut")
        if self._crowd_since is not None and ms - self._crowd_since > TOLERANCE_MS:
            found.append("while too many hosts were silent")
        since = None if self.scene.armed else self._observing_since
        if since is not None and ms - since > LIFE_MS:
            found.append("while only observing")
        return found

    def _sent_off(self, ms: int, host: str, view: View) -> list[str]:
        """A person's word stands for every sign of life, but not for the VMs on the host."""
        there = [run.vm for run in view.runs if run.host == host and run.proof is None]
        fenced = f"fence {host}" in view.open_ops
        return [f"with {', '.join(there)} on it"] if there and not fenced else []

    def _of_the_host(self, ms: int, host: str, view: View) -> list[str]:
        if host in self.scene.departing:
            return self._sent_off(ms, host, view)
        found = []
        alive_since, seen = self._alive_since.get(host, ms), view.seen[host]
        never_by_degradation = self.policy.degraded_action != "fence"
        if ms - alive_since > LIFE_MS and never_by_degradation:
            found.append("although its kernel answers on the network")
        if self._storage_shows_life(ms, host) and never_by_degradation:
            found.append("although its storage heartbeat advances")
        if self._disks_show_life(ms, host) and never_by_degradation:
            found.append("although its VMs' disks are written")
        grace_ms = self.policy.grace * 1000
        if self.scene.world.storage.knows(host):
            grace_ms = min(grace_ms, STILL_MS)  # row 5: a heartbeat that stands still is enough
        if seen is not None and TOLERANCE_MS < ms - seen < grace_ms:
            found.append("within its grace")
        recent = {
            run.vm
            for run in view.runs
            if run.host == host and (run.ended_ms is None or run.ended_ms > ms - TOLERANCE_MS)
        }
        if self.policy.fence_alone == "off" and not self.ha & recent:
            found.append("and no HA VM gains by it")
        return found
