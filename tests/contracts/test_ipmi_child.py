"""The IPMI driver: its process per question, and what it makes of the answers."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from fencing.domain.power import PowerProblem, PowerState
from fencing.power.ipmi import Ipmi, guid_of, problem_of, same_machine
from fencing.power.port import Reading
from tests.contracts.ipmi_sim import (
    DEADLINE,
    GUID,
    PASSWORD,
    USERNAME,
    Gag,
    IpmiSim,
    bmc_at,
    failure,
    free_port,
)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[IpmiSim]:
    with IpmiSim(tmp_path, guid=uuid.UUID(GUID).bytes_le) as running:
        yield running


def children() -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if int(fields[1]) == os.getpid():
            found.add(int(stat.parent.name))
    return found


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        os.sched_yield()
    return True


# --- the IPMI driver's process ----------------------------------------------------------------


def test_a_dead_bmc_is_unreachable_when_the_deadline_is_long_enough() -> None:
    error, took = failure(lambda: Ipmi().read(bmc_at(free_port()), deadline=DEADLINE))
    assert error.problem is PowerProblem.UNREACHABLE
    assert took < DEADLINE


def test_a_frozen_bmc_ends_at_the_deadline_and_leaves_no_process(sim: IpmiSim) -> None:
    before = children()
    sim.freeze()
    error, took = failure(lambda: Ipmi().read(bmc_at(sim.port), deadline=1.0))
    assert error.problem is PowerProblem.TIMED_OUT
    assert took < 1.5
    assert children() == before, "neither a running child nor a zombie is left"


def test_no_secret_is_in_argv_or_environment_of_the_child(sim: IpmiSim) -> None:
    sim.freeze()
    before = children()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(failure, lambda: Ipmi().read(bmc_at(sim.port), deadline=1.5))
        assert eventually(lambda: bool(children() - before), 1.0)
        (child,) = children() - before
        assert eventually(
            lambda: b"power/ipmi_child.py" in Path(f"/proc/{child}/cmdline").read_bytes()
        )
        shown = [Path(f"/proc/{child}/{name}").read_bytes() for name in ("cmdline", "environ")]
        assert asked.result()[0].problem is PowerProblem.TIMED_OUT
    for secret in (PASSWORD, USERNAME):
        assert all(secret.encode() not in part for part in shown)


def test_the_child_dies_with_the_process_that_asked(sim: IpmiSim) -> None:
    sim.freeze()
    asker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from fencing.power.ipmi import Ipmi; from fencing.power.port import Bmc;"
            f"Ipmi().read(Bmc(1, 'ipmi', '127.0.0.1', {sim.port}, 'u', 'p'), deadline=60)",
        ],
        cwd=Path(__file__).parents[2],
    )
    try:
        listing = Path(f"/proc/{asker.pid}/task/{asker.pid}/children")
        assert eventually(lambda: listing.read_text() != "")
        child = int(listing.read_text())
        wide_awake = Path(f"/proc/{child}/task")  # its I/O thread runs: it is at the question
        assert eventually(lambda: len(list(wide_awake.iterdir())) > 1)
    finally:
        asker.send_signal(signal.SIGKILL)
        asker.wait()
    assert eventually(lambda: not _runs(child), 1.0), "by itself it would ask for five seconds"


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_seventy_reads_leak_neither_descriptors_nor_sessions_of_the_bmc(sim: IpmiSim) -> None:
    ipmi, bmc = Ipmi(), bmc_at(sim.port)
    ipmi.read(bmc, deadline=DEADLINE)
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - Path.iterdir is no clearer here
    for _ in range(70):  # ipmi_sim has 63 sessions
        ipmi.read(bmc, deadline=DEADLINE)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


@pytest.mark.parametrize(
    "says",
    ["", "print('not our JSON')", "print('[]')", "print('{}')", "raise SystemExit(3)", "1/0"],
)
def test_a_child_that_says_anything_else_is_unreachable_and_no_crash(
    tmp_path: Path, says: str
) -> None:
    child = tmp_path / "child.py"
    child.write_text(says)
    error, _ = failure(lambda: Ipmi(child).read(bmc_at(623), deadline=DEADLINE))
    assert error.problem is PowerProblem.UNREACHABLE
    assert "helper of this server" in str(error)


def test_a_child_that_repeats_the_password_does_not_make_it_a_text(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"""print('{{"failed": "IpmiException", "text": "<{PASSWORD}>"}}')""")
    error, _ = failure(lambda: Ipmi(child).read(bmc_at(623), deadline=DEADLINE))
    assert PASSWORD not in str(error) + repr(error)


def test_an_answer_without_a_power_state_is_unknown(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text("""print('{"code": 193, "power": null, "guid": "77"}')""")
    assert Ipmi(child).read(bmc_at(623), deadline=DEADLINE) == Reading(PowerState.UNKNOWN, None)


def test_a_refused_command_is_an_error_unless_the_wish_is_already_true(tmp_path: Path) -> None:
    child, power = tmp_path / "child.py", Ipmi(tmp_path / "child.py")
    child.write_text("""print('{"code": 213, "power": 0}')""")
    power.turn_off(bmc_at(623), deadline=DEADLINE)
    error, _ = failure(lambda: power.turn_on(bmc_at(623), deadline=DEADLINE))
    assert error.problem is PowerProblem.UNREACHABLE
    child.write_text("""print('{"code": 212, "power": 1}')""")
    error, _ = failure(lambda: power.turn_off(bmc_at(623), deadline=DEADLINE))
    assert error.problem is PowerProblem.REFUSED_AUTH


# --- the IPMI driver's meanings ---------------------------------------------------------------


def test_a_bmc_with_a_guid_of_zeros_still_tells_its_power(tmp_path: Path) -> None:
    with IpmiSim(tmp_path, guid=bytes(16)) as plain:
        assert Ipmi().read(bmc_at(plain.port), deadline=DEADLINE) == Reading(PowerState.ON, None)


def test_a_bmc_that_speaks_ipmi_1_5_only_is_told_as_such(tmp_path: Path) -> None:
    with IpmiSim(tmp_path) as old:
        error, _ = failure(lambda: Ipmi().read(bmc_at(old.port), deadline=DEADLINE))
    assert error.problem is PowerProblem.BAD_SETTINGS
    assert "IPMI 2.0" in str(error)


def test_a_bmc_that_is_silent_on_its_guid_still_tells_its_power(sim: IpmiSim) -> None:
    start = time.monotonic()
    # Passed: capabilities, open session (SHA-256 refused, then SHA-1), RAKP 1 and 3,
    # privilege level, chassis status.
    with Gag(sim.port, passed=7) as gag:
        reading = Ipmi().read(bmc_at(gag.port), deadline=4.0)
    assert reading == Reading(PowerState.ON, None, unheard=True)
    assert time.monotonic() - start < 3.0


def test_a_bmc_that_falls_silent_before_its_power_is_told_has_no_reading(sim: IpmiSim) -> None:
    with Gag(sim.port, passed=6) as gag:
        error, took = failure(lambda: Ipmi().read(bmc_at(gag.port), deadline=2.0))
    assert error.problem in (PowerProblem.UNREACHABLE, PowerProblem.TIMED_OUT)
    assert took < 2.5


@pytest.mark.parametrize(
    "change",
    [
        {"address": " "},
        {"address": "two..dots"},
        {"port": 0},
        {"port": 70000},
        {"username": "x" * 17},
        {"password": "x" * 21},
        {"options": {"guid_order": "backwards"}},
    ],
)
def test_settings_that_cannot_work_are_named_as_such(change: dict[str, object]) -> None:
    bmc = replace(bmc_at(623), **change)  # type: ignore[arg-type]  # fields by name
    error, _ = failure(lambda: Ipmi().read(bmc, deadline=DEADLINE))
    assert error.problem is PowerProblem.BAD_SETTINGS
    assert bmc.password not in str(error)


@pytest.mark.parametrize(
    ("failed", "text", "errno", "problem"),
    [
        ("IpmiException", "Incorrect password provided", None, PowerProblem.REFUSED_AUTH),
        ("IpmiException", "Unauthorized name in RAKP2", None, PowerProblem.REFUSED_AUTH),
        (
            "IpmiException",
            "Invalid integrity check value reported in RAKP4",
            None,
            PowerProblem.REFUSED_AUTH,
        ),
        (
            "IpmiException",
            "Insufficient resources to create a session at the requested role",
            None,
            PowerProblem.UNREACHABLE,
        ),
        (
            "IpmiException",
            "No Cipher suite match with proposed security algorithms",
            None,
            PowerProblem.BAD_SETTINGS,
        ),
        (
            "IpmiException",
            "Unauthorized role or privilege level requested in RAKP2",
            None,
            PowerProblem.REFUSED_AUTH,
        ),
        ("IpmiException", "None", None, PowerProblem.UNREACHABLE),
        ("IpmiException", "Session no longer connected", None, PowerProblem.UNREACHABLE),
        ("IpmiException", "Flux capacitor", None, PowerProblem.UNREACHABLE),
        ("gaierror", "", -2, PowerProblem.BAD_SETTINGS),
        ("gaierror", "", -3, PowerProblem.UNREACHABLE),
        ("ModuleNotFoundError", "", None, PowerProblem.UNREACHABLE),
    ],
)
def test_a_failure_has_one_meaning(
    failed: str, text: str, errno: int | None, problem: PowerProblem
) -> None:
    assert problem_of(failed, text, errno)[0] is problem


@pytest.mark.parametrize("order", ["auto", "smbios", "ipmi", "rfc4122"])
def test_a_guid_is_read_in_each_byte_order(order: str) -> None:
    host = uuid.UUID("6f2a1b3c-0d5e-4f60-8a7b-0c1d2e3f4a5b")
    wire = {"smbios": host.bytes_le, "ipmi": host.bytes[::-1], "rfc4122": host.bytes}
    for sent, raw in wire.items():
        read_as = "auto" if order == "auto" else sent
        assert guid_of(raw, read_as) == str(host)  # type: ignore[arg-type]  # a Literal by name


def test_auto_falls_back_to_the_smbios_order() -> None:
    plain = uuid.UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")  # no version, no variant
    assert guid_of(plain.bytes_le) == str(plain)


@pytest.mark.parametrize("raw", [b"", bytes(16), b"\xff" * 16, bytes(15), b"\x01" * 17])
def test_what_is_no_guid_is_none(raw: bytes) -> None:
    assert guid_of(raw) is None


def test_a_machine_is_recognised_in_any_byte_order_and_no_other_is() -> None:
    host = uuid.UUID(GUID)
    for raw in (host.bytes, host.bytes_le, host.bytes[::-1]):
        for order in ("auto", "smbios", "ipmi", "rfc4122"):
            told = guid_of(raw, order)
            assert told is not None
            assert same_machine(told, GUID)
            assert not same_machine(told, str(uuid.UUID(int=host.int ^ 1)))
