"""Restarting libvirtd past libvirtd: the same suite on memory and on a real sshd."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fencing.domain.recovery import RecoveryOutcome
from fencing.recovery.memory import MemoryRestarter
from fencing.recovery.port import Restarter, Tried
from fencing.recovery.ssh import Ssh
from hosts.hypervisor.port import Target
from tests.contracts.sshd import Sshd
from tests.waiting import wait_for

DEADLINE = 12.0


@dataclass
class Rig:
    """A restarter, the host that it shall help, and the faults of the way there."""

    restarter: Restarter
    target: Target
    restarts: Callable[[], int]
    fault: Callable[[RecoveryOutcome], None]

    def restart(self, deadline: float = DEADLINE) -> Tried:
        return self.restarter.restart(self.target, deadline=deadline)


def memory_rig() -> Rig:
    done: list[str] = []
    memory = MemoryRestarter(done.append, lambda name: memory.fails.get(name) != "unreachable")

    def fault(outcome: RecoveryOutcome) -> None:
        memory.fails["node1"] = outcome

    return Rig(memory, Target(1, "node1", ""), lambda: len(done), fault)


def ssh_rig(sshd: Sshd) -> Rig:
    faults: dict[RecoveryOutcome, Callable[[], object]] = {
        RecoveryOutcome.REFUSED_AUTH: lambda: (sshd.folder / "authorized").write_text(""),
        RecoveryOutcome.UNKNOWN_HOST_KEY: lambda: sshd.know(""),
        RecoveryOutcome.UNREACHABLE: sshd.kill,
        RecoveryOutcome.FAILED: lambda: sshd.set(mode="fails"),
        RecoveryOutcome.TIMED_OUT: lambda: sshd.set(mode="hangs"),
    }

    def fault(outcome: RecoveryOutcome) -> None:
        faults[outcome]()

    ssh = Ssh(sshd.folder / "config")
    return Rig(ssh, sshd.target(), lambda: len(sshd.asked("restart")), fault)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd(tmp_path) as running:
        yield running


@pytest.fixture(params=["memory", "ssh"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as stack:
        real = request.param == "ssh"
        yield ssh_rig(stack.enter_context(Sshd(tmp_path))) if real else memory_rig()


# --- the contract -----------------------------------------------------------------------------


def test_the_daemon_is_restarted_once(rig: Rig) -> None:
    tried = rig.restart()
    assert tried.outcome is RecoveryOutcome.RESTARTED, tried.text
    assert rig.restarts() == 1


_NEVER_ASKED = {
    RecoveryOutcome.REFUSED_AUTH,
    RecoveryOutcome.UNKNOWN_HOST_KEY,
    RecoveryOutcome.UNREACHABLE,
}


@pytest.mark.parametrize(
    "outcome", [item for item in RecoveryOutcome if item is not RecoveryOutcome.RESTARTED]
)
def test_each_fault_has_its_own_outcome_and_a_text(rig: Rig, outcome: RecoveryOutcome) -> None:
    rig.fault(outcome)
    deadline = 2.0 if outcome is RecoveryOutcome.TIMED_OUT else DEADLINE
    tried = rig.restart(deadline)
    assert tried.outcome is outcome, tried.text
    assert tried.text
    if outcome in _NEVER_ASKED:
        assert rig.restarts() == 0


# --- OpenSSH ----------------------------------------------------------------------------------


def test_a_key_that_has_changed_is_not_taken(sshd: Sshd) -> None:
    sshd.make_key("other")
    sshd.know("other")
    tried = ssh_rig(sshd).restart()
    assert tried.outcome is RecoveryOutcome.UNKNOWN_HOST_KEY
    assert "another key" in tried.text
    assert sshd.asked("") == []


@pytest.mark.parametrize(
    ("units", "restarted"),
    [
        ("libvirtd.socket", "libvirtd.service"),
        ("virtqemud.service virtproxyd.socket", "virtqemud.service virtproxyd.service"),
    ],
)
def test_whichever_daemon_is_in_use_is_restarted(sshd: Sshd, units: str, restarted: str) -> None:
    sshd.set(units=units)
    assert ssh_rig(sshd).restart().outcome is RecoveryOutcome.RESTARTED
    assert sshd.asked("restart") == [f"restart {restarted}"]


def test_a_host_without_libvirt_says_so(sshd: Sshd) -> None:
    sshd.set(units="")
    tried = ssh_rig(sshd).restart()
    assert tried.outcome is RecoveryOutcome.FAILED
    assert "in use" in tried.text
    assert sshd.asked("restart") == []


def test_a_daemon_that_does_not_hear_is_killed_alone_and_comes_back(sshd: Sshd) -> None:
    sshd.set(mode="deaf")
    assert ssh_rig(sshd).restart().outcome is RecoveryOutcome.RESTARTED
    assert sshd.asked("kill") == ["kill --kill-who=main --signal=KILL libvirtd.service"]


def test_a_forced_command_is_all_that_the_key_may_do(sshd: Sshd) -> None:
    forced = Path("fencing/recovery/restart-libvirt.sh").resolve()
    key = (sshd.folder / "client.pub").read_text()
    (sshd.folder / "authorized").write_text(f'restrict,command="{forced}" {key}')
    assert ssh_rig(sshd).restart().outcome is RecoveryOutcome.RESTARTED
    assert sshd.asked("restart") == ["restart libvirtd.service"]


def test_a_port_that_takes_connections_and_is_silent_is_unreachable_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"qemu+ssh://root@127.0.0.1:{silent.getsockname()[1]}/system"
        tried = Ssh(Path("/dev/null")).restart(Target(1, "node1", uri), deadline=6)
    assert tried.outcome is RecoveryOutcome.UNREACHABLE, tried.text


def test_nothing_is_left_of_a_try_that_was_too_late(sshd: Sshd) -> None:
    sshd.set(mode="hangs")
    rig = ssh_rig(sshd)
    assert rig.restart(2.0).outcome is RecoveryOutcome.TIMED_OUT
    wait_for(lambda: not _clients(sshd.port), what="the end of ssh")


def _clients(port: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if f"-p {port} " in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


@pytest.mark.parametrize("uri", ["test+tcp://127.0.0.1:16509/default", "qemu+tls:///system", ""])
def test_a_host_that_no_ssh_leads_to_is_never_asked(uri: str) -> None:
    tried = Ssh(Path("/dev/null")).restart(Target(1, "node1", uri), deadline=1)
    assert tried.outcome is RecoveryOutcome.FAILED


def test_the_user_and_port_of_ssh_are_those_of_an_ssh_uri_alone(sshd: Sshd) -> None:
    tls = replace(sshd.target(), uri="qemu+tls://127.0.0.1:1/system")
    with (sshd.folder / "config").open("a") as config:
        config.write(f"Port {sshd.port}\n")  # as the portal user's own config may say
    tried = Ssh(sshd.folder / "config").restart(tls, deadline=DEADLINE)
    assert tried.outcome is RecoveryOutcome.RESTARTED, tried.text
