"""The fence-agent driver: what an agent is given, what its answers mean, and that it ends."""

import json
import os
import subprocess
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fencing.domain.drivers import AGENTS, IPMI_AGENTS
from fencing.domain.power import PowerProblem, PowerState
from fencing.power.fence_agent import FenceAgent
from fencing.power.port import Bmc, Reading
from tests.contracts.ipmi_sim import (
    DEADLINE,
    GUID,
    PASSWORD,
    USERNAME,
    IpmiSim,
    bmc_at,
    failure,
)
from tests.waiting import wait_for

PVE = {"agent": "fence_pve", "plug": "101"}
#: Writes down what it was given, as the agents' own library understands it.
_RECORDER = """\
#!/usr/bin/python3
import json, os, sys
sys.path.append("/usr/share/fence")
import fencing
known = ["action", "ipaddr", "ipport", "login", "passwd", "port", "method", "ssl_insecure"]
known += ["power_timeout", "power_wait", "verbose_level", "secure"]
fencing.all_opt["secure"].setdefault("longopt", "ssh")
raw = sys.stdin.read()
sys.stdin = __import__("io").StringIO(raw)
found = {{"options": fencing._parse_input_stdin(known), "raw": raw}}
found |= {{"argv": sys.argv, "environment": dict(os.environ)}}
open({file!r}, "w").write(json.dumps(found))
print("Status: ON")
"""


def agent(folder: Path, script: str, name: str = "fence_pve") -> FenceAgent:
    """Return the driver with one agent that is this script."""
    path = folder / name
    path.write_text(script)
    path.chmod(0o700)
    return FenceAgent((folder,))


def saying(folder: Path, code: int, out: str = "", err: str = "") -> FenceAgent:
    """Return the driver with an agent that says this."""
    (folder / "out").write_text(out)
    (folder / "err").write_text(err)
    script = f"#!/bin/sh\ncat >/dev/null; cat '{folder}/out'; cat '{folder}/err' >&2; exit {code}\n"
    return agent(folder, script)


def recorded(folder: Path, bmc: Bmc) -> dict[str, Any]:
    """Return what the agent was given for a question about ``bmc``."""
    file = folder / "given"
    name = bmc.options["agent"]
    power = agent(folder, _RECORDER.format(file=str(file)), name)
    assert power.read(bmc, deadline=DEADLINE) == Reading(PowerState.ON)
    given: dict[str, Any] = json.loads(file.read_text())
    return given


def processes(word: str) -> dict[int, str]:
    """Return the command lines that contain ``word``."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if word in line and int(path.parent.name) != os.getpid():
            found[int(path.parent.name)] = line
    return found


# --- what it is given -------------------------------------------------------------------------


def test_settings_go_in_on_stdin_and_nothing_is_in_argv_or_the_environment(tmp_path: Path) -> None:
    given = recorded(tmp_path, bmc_at(8006, "fence-agent", **PVE, power_wait="1"))
    assert given["argv"] == [str(tmp_path / "fence_pve")]
    assert set(given["environment"]) <= {"PATH", "LC_ALL", "HOME", "PWD", "LANG", "LC_CTYPE"}
    assert given["options"] == {
        "--action": "status",
        "--ip": "127.0.0.1",
        "--ipport": "8006",
        "--username": USERNAME,
        "--password": PASSWORD,
        "--plug": "101",
        "--power-timeout": "4",
        "--power-wait": "1",
        "--method": "onoff",
        "--verbose-level": 0,
    }


def test_an_ipmi_agent_gets_its_password_where_ipmitool_shows_it_to_nobody(tmp_path: Path) -> None:
    given = recorded(tmp_path, bmc_at(623, "fence-agent", agent="fence_ilo4"))
    assert given["environment"]["IPMITOOL_PASSWORD"] == PASSWORD
    assert PASSWORD not in given["raw"]
    assert 'method="onoff"' in given["raw"]


@pytest.mark.parametrize("text", ["  spaces  ", '"quoted"', "a=b", "#x", "pässwörd", "'$(id)`\\"])
def test_a_password_arrives_as_it_was_entered(tmp_path: Path, text: str) -> None:
    bmc = replace(bmc_at(8006, "fence-agent", **PVE), password=text)
    assert recorded(tmp_path, bmc)["options"]["--password"] == text


def test_a_flag_that_is_off_is_not_there_at_all(tmp_path: Path) -> None:
    given = recorded(tmp_path, bmc_at(8006, "fence-agent", **PVE, ssl_insecure="0"))
    assert "--ssl-insecure" not in given["options"]
    given = recorded(tmp_path, bmc_at(8006, "fence-agent", **PVE, ssl_insecure="1"))
    assert given["options"]["--ssl-insecure"] == "1"


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x85", "\u2028", "\0"])
@pytest.mark.parametrize("name", ["address", "username", "password", "plug"])
def test_a_value_that_would_become_another_line_is_refused(
    tmp_path: Path, name: str, end: str
) -> None:
    evil = f"1{end}password_script=touch {tmp_path}/started"
    bmc = bmc_at(8006, "fence-agent", **PVE)
    if name == "plug":
        bmc.options["plug"] = evil
    else:
        bmc = Bmc(**{**_as_dict(bmc), name: evil})
    power = agent(tmp_path, f"#!/bin/sh\ntouch '{tmp_path}/started'\n")
    error, _ = failure(lambda: power.turn_off(bmc, deadline=DEADLINE))
    assert error.problem is PowerProblem.BAD_SETTINGS
    assert error.field == ("options.plug" if name == "plug" else name)
    assert not (tmp_path / "started").exists()
    assert PASSWORD not in str(error)


def _as_dict(bmc: Bmc) -> dict[str, Any]:
    return {name: getattr(bmc, name) for name in Bmc.__slots__}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"agent": "fence_kdump"},
        {"agent": "../../bin/sh"},
        {"agent": "/usr/sbin/fence_pve", "plug": "1"},
        {"agent": "fence_pve"},
        {"agent": "fence_pve", "plug": "1,2"},
        PVE | {"password_script": "/bin/true"},
        PVE | {"debug_file": "/etc/passwd"},
        PVE | {"method": "cycle"},
        PVE | {"action": "on"},
        {"agent": "fence_ipmilan", "ipmitool_path": "/bin/sh"},
        {"agent": "fence_ipmilan", "cipher": "0"},
        {"agent": "fence_ipmilan", "cipher": "3 -E"},
        {"agent": "fence_apc", "plug": "1", "ssh_options": "-oProxyCommand=id"},
    ],
)
def test_what_is_not_on_the_list_is_not_run(tmp_path: Path, options: dict[str, str]) -> None:
    for name in ("fence_pve", "fence_ipmilan", "fence_apc", "fence_kdump"):
        power = agent(tmp_path, f"#!/bin/sh\ntouch '{tmp_path}/started'\n", name)
    bmc = bmc_at(8006, "fence-agent", **options)
    error, _ = failure(lambda: power.read(bmc, deadline=DEADLINE))
    assert error.problem is PowerProblem.BAD_SETTINGS
    assert error.field.startswith("options.")
    assert not (tmp_path / "started").exists()


def test_an_agent_that_is_not_installed_is_told_by_name(tmp_path: Path) -> None:
    bmc = bmc_at(8006, "fence-agent", **PVE)
    error, _ = failure(lambda: FenceAgent((tmp_path,)).read(bmc, deadline=DEADLINE))
    assert error.problem is PowerProblem.BAD_SETTINGS
    assert "install fence_pve" in str(error)


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_every_agent_on_the_list_knows_the_options_that_it_may_be_given(name: str) -> None:
    asked = subprocess.run(
        [f"/usr/sbin/{name}"], input="action=metadata\n", capture_output=True, text=True, check=True
    )
    known = {item.get("name") for item in ET.fromstring(asked.stdout).iter("parameter")}  # noqa: S314 - an installed program's own words
    given = {"action", "ip", "ipport", "username", "power_timeout", "password"}
    given |= set(AGENTS[name].options) | set(AGENTS[name].defaults)
    given |= {"ipmitool_path", "verbose_level"} if name in IPMI_AGENTS else set()
    assert given <= known
    assert ("method" in known) == ("method" in AGENTS[name].defaults)


# --- what its answers mean --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "out", "state"),
    [
        (0, "Status: ON\n", PowerState.ON),
        (2, "Status: OFF\n", PowerState.OFF),
        (0, "Status: OFF\n", PowerState.UNKNOWN),
        (2, "Status: ON\n", PowerState.UNKNOWN),
        (1, "Status: OFF\n", PowerState.UNKNOWN),
        (0, "Status: OFFLINE\n", PowerState.UNKNOWN),
        (0, "", PowerState.UNKNOWN),
    ],
)
def test_off_needs_the_exit_code_and_the_word(
    tmp_path: Path, code: int, out: str, state: PowerState
) -> None:
    power = saying(tmp_path, code, out)
    assert power.read(bmc_at(8006, "fence-agent", **PVE), deadline=DEADLINE) == Reading(state)


@pytest.mark.parametrize(
    ("err", "problem"),
    [
        ("> RAKP 2 HMAC is invalid", PowerProblem.REFUSED_AUTH),
        ("Unable to connect/login to fencing device", PowerProblem.UNREACHABLE),
        ("Connection timed out", PowerProblem.UNREACHABLE),
        ("Ipmitool not found or not accessible", PowerProblem.BAD_SETTINGS),
        (f"Traceback: {PASSWORD}", PowerProblem.UNREACHABLE),
        ("", PowerProblem.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("code", [1, 2, 139])
def test_a_failure_is_typed_and_its_words_are_not_shown(
    tmp_path: Path, code: int, err: str, problem: PowerProblem
) -> None:
    power, bmc = saying(tmp_path, code, err=err), bmc_at(8006, "fence-agent", **PVE)
    for ask in (power.read, power.turn_off, power.turn_on):
        error, _ = failure(lambda ask=ask: ask(bmc, deadline=DEADLINE))  # type: ignore[misc]  # a bound method in a default
        assert error.problem is problem
        assert PASSWORD not in str(error)
        assert PASSWORD not in repr(error.__cause__)


def test_an_effect_that_is_not_seen_in_time_is_left_to_the_readings(tmp_path: Path) -> None:
    bmc = bmc_at(8006, "fence-agent", **PVE)
    unseen = "Failed: Timed out waiting to power OFF"
    saying(tmp_path, 1, err=unseen).turn_off(bmc, deadline=DEADLINE)
    denied = f"Set Chassis Power Control failed: Insufficient privilege level\n{unseen}"
    error, _ = failure(lambda: saying(tmp_path, 1, err=denied).turn_off(bmc, deadline=DEADLINE))
    assert error.problem is PowerProblem.REFUSED_AUTH


# --- that it ends -----------------------------------------------------------------------------


def gone(word: str) -> Callable[[], bool]:
    return lambda: not processes(word)


def test_an_agent_that_never_ends_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = f"600.{uuid.uuid4().int % 10**6:06d}"
    power = agent(tmp_path, f"#!/bin/sh\nsleep {mark} & sleep {mark}\n")
    bmc = bmc_at(8006, "fence-agent", **PVE)
    error, took = failure(lambda: power.turn_off(bmc, deadline=1))
    assert error.problem is PowerProblem.TIMED_OUT
    assert took < 1.5
    assert wait_for(gone(mark), every=0.01)


def test_a_real_agent_shows_no_secret_while_it_runs_and_is_killed_whole(tmp_path: Path) -> None:
    with IpmiSim(tmp_path, guid=uuid.UUID(GUID).bytes_le) as sim:
        sim.freeze()
        bmc = bmc_at(sim.port, "fence-agent", agent="fence_ipmilan", cipher="3")
        shown: dict[int, str] = {}

        def ipmitool_runs() -> bool:
            shown.update(processes(f"-p {sim.port} -U {USERNAME}"))
            return bool(shown)

        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(failure, lambda: FenceAgent().read(bmc, deadline=3))
            assert wait_for(ipmitool_runs, every=0.01)
            assert any("ipmitool" in line for line in shown.values())
            assert processes(PASSWORD) == {}
            error, took = asked.result()
        assert error.problem in (PowerProblem.TIMED_OUT, PowerProblem.UNREACHABLE)
        assert took < 3.5
        assert wait_for(gone(f"-p {sim.port} -U {USERNAME}"), every=0.01)


@pytest.mark.parametrize("name", sorted(IPMI_AGENTS))
def test_every_agent_of_the_ipmi_family_reads_a_real_bmc(tmp_path: Path, name: str) -> None:
    with IpmiSim(tmp_path, guid=uuid.UUID(GUID).bytes_le) as sim:
        bmc = bmc_at(sim.port, "fence-agent", agent=name, cipher="3")
        assert FenceAgent().read(bmc, deadline=DEADLINE) == Reading(PowerState.ON)
        sim.set_on(False)
        assert FenceAgent().read(bmc, deadline=DEADLINE) == Reading(PowerState.OFF)
