"""What every power driver must do, run against memory and real services.

``ipmi`` and ``fence-agent`` (a real ``fence_ipmilan``) speak to ``ipmi_sim``, ``redfish``
to ``sushy-emulator``, over TLS.
"""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import fencing.power
from fencing.domain.power import PowerProblem, PowerState
from fencing.power.fence_agent import FenceAgent
from fencing.power.ipmi import Ipmi
from fencing.power.memory import MemoryPower
from fencing.power.port import Bmc, Power, Reading
from fencing.power.redfish import Redfish
from tests.contracts.ipmi_sim import DEADLINE, GUID, PASSWORD, USERNAME, IpmiSim, bmc_at, failure
from tests.contracts.sushy import Sushy

#: What ipmi_sim understands, and no pause after a command.
IPMILAN = {"agent": "fence_ipmilan", "cipher": "3", "power_wait": "0"}


@dataclass
class Rig:
    """A driver, a BMC that it can reach, and that BMC's relay in the test's hand.

    ``settle`` lets an accepted command take effect where that takes its time.
    """

    power: Power
    bmc: Bmc
    is_on: Callable[[], bool]
    set_on: Callable[[bool], None]
    kill: Callable[[], None]
    guid: str | None = GUID
    settle: Callable[[], None] = field(default=lambda: None)

    def read(self) -> Reading:
        return self.power.read(self.bmc, deadline=DEADLINE)


def memory_rig() -> Rig:
    power = MemoryPower(on_button=lambda *_: set_on(False))
    box = power.add("127.0.0.1", 623, guid=GUID)
    box.username, box.password = USERNAME, PASSWORD

    def set_on(on: bool) -> None:
        box.on = on

    def kill() -> None:
        box.reachable = False

    return Rig(power, bmc_at(623, "memory"), lambda: box.on, set_on, kill)


def ipmi_rig(sim: IpmiSim) -> Rig:
    return Rig(Ipmi(), bmc_at(sim.port), sim.is_on, sim.set_on, sim.kill)


def agent_rig(sim: IpmiSim) -> Rig:
    bmc = bmc_at(sim.port, "fence-agent", **IPMILAN)
    return Rig(FenceAgent(), bmc, sim.is_on, sim.set_on, sim.kill, guid=None)


def redfish_rig(sushy: Sushy) -> Rig:
    bmc = bmc_at(sushy.port, "redfish", verify=str(sushy.certificate.cert))
    rig = Rig(Redfish(), bmc, sushy.is_on, sushy.set_on, sushy.kill)
    rig.settle = sushy.settle
    return rig


@pytest.fixture(params=["memory", "ipmi", "redfish", "fence-agent"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield memory_rig()
        elif request.param == "redfish":
            yield redfish_rig(stack.enter_context(Sushy(tmp_path)))
        else:
            sim = stack.enter_context(IpmiSim(tmp_path, guid=uuid.UUID(GUID).bytes_le))
            yield ipmi_rig(sim) if request.param == "ipmi" else agent_rig(sim)


# --- the contract -----------------------------------------------------------------------------


def test_read_tells_on_and_off_as_the_relay_is(rig: Rig) -> None:
    assert rig.read().state is PowerState.ON
    rig.set_on(False)
    assert rig.read().state is PowerState.OFF


def test_read_tells_the_guid_that_is_the_hosts_uuid_or_none(rig: Rig) -> None:
    assert rig.read().guid == rig.guid


def test_an_off_is_accepted_and_then_reads_off(rig: Rig) -> None:
    rig.power.turn_off(rig.bmc, deadline=DEADLINE)
    rig.settle()
    assert rig.read().state is PowerState.OFF
    assert not rig.is_on()


def test_a_machine_is_asked_to_shut_down_or_it_is_said_that_it_cannot_be(rig: Rig) -> None:
    if isinstance(rig.power, FenceAgent):
        error, _ = failure(lambda: rig.power.ask_off(rig.bmc, deadline=DEADLINE))
        assert "only cuts its power" in str(error)
        assert rig.is_on()
        return
    rig.power.ask_off(rig.bmc, deadline=DEADLINE)
    rig.settle()
    assert not rig.is_on(), "its operating system obeys here"
    rig.power.ask_off(rig.bmc, deadline=DEADLINE)  # it is off already: that is success


def test_an_on_is_accepted_and_then_reads_on(rig: Rig) -> None:
    rig.set_on(False)
    rig.power.turn_on(rig.bmc, deadline=DEADLINE)
    rig.settle()
    assert rig.read().state is PowerState.ON
    assert rig.is_on()


def test_switching_to_what_it_is_already_is_a_success(rig: Rig) -> None:
    rig.power.turn_on(rig.bmc, deadline=DEADLINE)
    rig.settle()
    assert rig.is_on()
    rig.set_on(False)
    rig.power.turn_off(rig.bmc, deadline=DEADLINE)
    rig.settle()
    assert not rig.is_on()


def test_reads_in_a_row_all_answer(rig: Rig) -> None:
    assert [rig.read() for _ in range(3)] == [Reading(PowerState.ON, rig.guid)] * 3


@pytest.mark.parametrize(
    ("username", "password"), [(USERNAME, "n0t-the-one"), ("nobody", PASSWORD)]
)
def test_a_wrong_login_is_refused_and_no_text_holds_the_password(
    rig: Rig, username: str, password: str
) -> None:
    bmc = replace(rig.bmc, username=username, password=password)
    for ask in (rig.power.read, rig.power.turn_off, rig.power.turn_on):
        error, _ = failure(lambda ask=ask: ask(bmc, deadline=DEADLINE))  # type: ignore[misc]  # a bound method in a default
        assert error.problem is PowerProblem.REFUSED_AUTH
        assert error.fatal
        for text in (str(error), repr(error), repr(bmc), repr(error.__cause__)):
            assert bmc.password not in text
        assert f"127.0.0.1:{bmc.port}" in str(error)
    assert rig.is_on(), "a refused command must not switch"


def test_a_dead_bmc_is_told_within_the_deadline(rig: Rig) -> None:
    rig.kill()
    for ask in (rig.power.read, rig.power.turn_off, rig.power.turn_on):
        error, took = failure(lambda ask=ask: ask(rig.bmc, deadline=1.0))  # type: ignore[misc]  # as above
        assert error.problem in (PowerProblem.UNREACHABLE, PowerProblem.TIMED_OUT)
        assert not error.fatal
        assert took < 1.5


def test_twenty_reads_at_once_are_all_right(rig: Rig) -> None:
    with ThreadPoolExecutor(20) as pool:
        readings = list(pool.map(lambda _: rig.read(), range(20)))
    assert readings == [Reading(PowerState.ON, rig.guid)] * 20


# --- the memory driver's faults ---------------------------------------------------------------


def test_a_slow_off_reads_turning_off_and_moves_the_relay_only_then() -> None:
    clock, moved = [0.0], []
    power = MemoryPower(now=lambda: clock[0], on_power=lambda *args: moved.append(args))
    box = power.add("127.0.0.1", 623)
    box.username, box.password, box.slow_seconds = USERNAME, PASSWORD, 5.0
    bmc = bmc_at(623, "memory")
    power.turn_off(bmc, deadline=1)
    clock[0] = 4.9
    assert power.read(bmc, deadline=1).state is PowerState.TURNING_OFF
    assert moved == []
    clock[0] = 5.0
    power.settle()
    assert moved == [("127.0.0.1", 623, PowerState.OFF)]
    assert power.read(bmc, deadline=1).state is PowerState.OFF


def test_a_slow_off_can_be_counted_in_reads() -> None:
    rig = memory_rig()
    assert isinstance(rig.power, MemoryPower)
    box = rig.power.add("127.0.0.1", 624)
    box.slow_reads, box.slow_state = 2, PowerState.ON
    bmc = Bmc(2, "memory", "127.0.0.1", 624, "admin", "secret")
    rig.power.turn_off(bmc, deadline=1)
    states = [rig.power.read(bmc, deadline=1).state for _ in range(3)]
    assert states == [PowerState.ON, PowerState.ON, PowerState.OFF]


def test_swapped_bmcs_switch_and_name_the_other_machine() -> None:
    moved: list[tuple[str, int, PowerState]] = []
    power = MemoryPower(on_power=lambda *args: moved.append(args))
    for port in (1, 2):
        power.add("box", port, guid=str(uuid.UUID(int=port)))
    power.swap(("box", 1), ("box", 2))
    bmc = Bmc(1, "memory", "box", 1, "admin", "secret")
    power.turn_off(bmc, deadline=1)
    assert moved == [("box", 2, PowerState.OFF)]
    assert power.read(bmc, deadline=1).guid == str(uuid.UUID(int=2))


def test_a_lying_or_disobedient_bmc_says_off_while_its_host_runs() -> None:
    moved: list[tuple[str, int, PowerState]] = []
    power = MemoryPower(on_power=lambda *args: moved.append(args))
    box = power.add("box", 1, guid=GUID)
    box.lie, box.obeys, box.identified = PowerState.OFF, False, False
    bmc = Bmc(1, "memory", "box", 1, "admin", "secret")
    power.turn_off(bmc, deadline=1)
    assert power.read(bmc, deadline=1) == Reading(PowerState.OFF, None)
    assert box.on
    assert moved == []


# --- drivers by name --------------------------------------------------------------------------


def test_a_driver_is_found_by_name_built_once_and_can_be_replaced() -> None:
    bmc = bmc_at(623)
    assert isinstance(fencing.power.power_for(bmc), Ipmi)
    assert fencing.power.power_for(bmc) is fencing.power.power_for(bmc)
    mine = MemoryPower()
    fencing.power.install("ipmi", mine)
    try:
        assert fencing.power.power_for(bmc) is mine
    finally:
        fencing.power.install("ipmi", None)
    assert isinstance(fencing.power.power_for(bmc), Ipmi)


def test_an_unknown_driver_is_bad_settings_and_names_the_known_ones() -> None:
    error, _ = failure(lambda: fencing.power.power_for(bmc_at(623, "telepathy")))
    assert error.problem is PowerProblem.BAD_SETTINGS
    assert "telepathy" in str(error)
    assert "ipmi" in str(error)
