"""BMCs in memory, with faults to inject: for tests and the simulator."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock

from fencing.domain.power import PowerProblem, PowerState
from fencing.power.port import Bmc, PowerError, Reading

Key = tuple[str, int]
OnPower = Callable[[str, int, PowerState], None]
OnButton = Callable[[str, int], None]


@dataclass(slots=True, eq=False)
class MemoryBmc:
    """One controller and its relay; whoever holds it may set any field at any time.

    ``home`` is the address it was added at, and names its machine even after a swap.
    """

    home: Key
    username: str = "admin"
    password: str = field(default="secret", repr=False)
    guid: str | None = None
    on: bool = True
    reachable: bool = True
    refuses: bool = False  # every login fails, whatever the password
    obeys: bool = True  # False: commands are accepted and nothing happens
    lie: PowerState | None = None  # what it reads back, whatever is true
    identified: bool = True  # False: it does not tell its GUID
    mute: bool = False  # it leaves the question about its GUID unanswered
    slow_reads: int = 0  # after an off, so many reads still tell `slow_state`
    slow_seconds: float = 0.0  # after an off, it takes so long by the clock `now`
    slow_state: PowerState = PowerState.TURNING_OFF
    off_at: float | None = None  # when an off under way is done, by `now`
    reads_left: int = 0  # reads until an off under way is done

    @property
    def turning_off(self) -> bool:
        """Whether an off was accepted and the relay has not moved yet."""
        return self.off_at is not None


class MemoryPower:
    """The ``memory`` driver: a registry of BMCs by (address, port).

    ``now`` returns seconds on any clock that only moves forward.  ``on_power``
    is told ``(address, port, ON | OFF)`` of the machine (its ``home``) whose
    relay moved, after it moved; commands that change nothing do not call it.
    ``on_button`` is told ``(address, port)`` of the machine that was asked to shut down.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] | None = None,
        on_power: OnPower | None = None,
        on_button: OnButton | None = None,
    ) -> None:
        self._now = now or (lambda: 0.0)
        self._on_power, self._on_button = on_power, on_button
        self._bmcs: dict[Key, MemoryBmc] = {}
        self._lock = RLock()

    def add(self, address: str, port: int, *, guid: str | None = None) -> MemoryBmc:
        """Connect a BMC with defaults at this address and return it, to be changed at will."""
        bmc = MemoryBmc(home=(address, port), guid=guid)
        self._bmcs[bmc.home] = bmc
        return bmc

    def swap(self, one: Key, other: Key) -> None:
        """Exchange two BMCs' addresses, as swapped cables or a wrong DHCP entry do."""
        with self._lock:
            self._bmcs[one], self._bmcs[other] = self._bmcs[other], self._bmcs[one]

    def settle(self) -> None:
        """Finish every slow off whose time has come; reads and commands do so by themselves."""
        with self._lock:
            for found in list(self._bmcs.values()):
                self._settle(found)

    def read(self, bmc: Bmc, *, deadline: float) -> Reading:
        """Return what the BMC says, which need not be true."""
        with self._lock:
            found = self._logged_in(bmc)
            guid = found.guid if found.identified and not found.mute else None
            state = PowerState.ON if found.on else PowerState.OFF
            if found.lie is not None:
                state = found.lie
            elif found.turning_off:
                found.reads_left -= 1
                state = found.slow_state
            return Reading(state, guid, unheard=found.mute)

    def turn_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Accept an off; it takes effect at once unless the BMC is slow or disobeys."""
        with self._lock:
            found = self._logged_in(bmc)
            if not found.obeys or not found.on or found.turning_off:
                return
            found.off_at = self._now() + found.slow_seconds
            found.reads_left = found.slow_reads
            self._settle(found)

    def ask_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Pass the button on to the machine, which may be dead."""
        with self._lock:
            found = self._logged_in(bmc)
            if found.obeys and found.on and self._on_button is not None:
                self._on_button(*found.home)

    def turn_on(self, bmc: Bmc, *, deadline: float) -> None:
        """Accept an on; it takes effect at once and ends an off under way."""
        with self._lock:
            found = self._logged_in(bmc)
            if found.obeys:
                found.off_at = None
                self._move(found, PowerState.ON)

    def _settle(self, found: MemoryBmc) -> None:
        if found.off_at is None or found.reads_left > 0 or self._now() < found.off_at:
            return
        found.off_at = None
        self._move(found, PowerState.OFF)

    def _move(self, found: MemoryBmc, to: PowerState) -> None:
        was, found.on = found.on, to is PowerState.ON
        if found.on is not was and self._on_power is not None:
            self._on_power(*found.home, to)

    def _logged_in(self, bmc: Bmc) -> MemoryBmc:
        found = self._bmcs.get((bmc.address, bmc.port))
        where = f"The BMC at {bmc.address}:{bmc.port}"
        if found is None or not found.reachable:
            text = f"{where} does not answer; check its address and its cable."
            raise PowerError(PowerProblem.UNREACHABLE, text)
        if found.refuses or (bmc.username, bmc.password) != (found.username, found.password):
            text = f"{where} refused the user name or password; correct them in its settings here."
            raise PowerError(PowerProblem.REFUSED_AUTH, text)
        self._settle(found)
        return found
