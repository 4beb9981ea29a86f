"""``make lab``: real VMs on three hosts of namespaces, and the portal over them, until Ctrl-C."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from portal.demo.control import BoxDown, ControlError
from portal.lib.processes import spawn
from tests.lab.layout import MOST_HOSTS, RUN, SHARED, Plan, store
from tests.lab.outside import ROOT, LabControl, NoLab, as_engine, running
from tests.lab.vms import LabVm


def main(arguments: Sequence[str]) -> int:
    """Run or ask the lab; return the exit code."""
    parser = argparse.ArgumentParser(prog="make lab", description=__doc__)
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--vms", type=int, default=4, help="VMs that the portal is to know")
    parser.add_argument("--io-timeout", type=int, default=10, help="sanlock's; 10 is production's")
    parser.add_argument("--boot-s", type=float, default=5.0, help="added to each host's boot")
    parser.add_argument("--tls", action="store_true", help="the portal uses TLS with certificates")
    parser.add_argument("--no-portal", action="store_true", help="the hosts alone")
    parser.add_argument("do", nargs="*", help="do WORD [field=value …]: ask a running lab")
    chosen = parser.parse_args(arguments)
    if chosen.do:
        return _do(chosen.do)
    if not 1 <= chosen.hosts <= MOST_HOSTS:
        parser.error(f"--hosts: from 1 to {MOST_HOSTS}")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have SIGINT ignored
        signal.signal(number, _interrupt)
    try:
        with running(Plan(chosen.hosts, chosen.io_timeout, chosen.boot_s)) as control:
            _greet(control, chosen)
            _stay(chosen)
    except NoLab as error:
        sys.stderr.write(f"no lab: {error}\n")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _do(words: Sequence[str]) -> int:
    """Ask the lab that runs for one thing, and print its answer."""
    word, *rest = words[1:] if words[0] == "do" else words
    fields = dict(item.partition("=")[::2] for item in rest)
    try:
        answer = LabControl().do(word, deadline=120.0, **fields)
    except BoxDown:
        sys.stderr.write("no lab runs here: start it with 'make lab'\n")
        return 1
    except ControlError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"{key}: {value}\n" for key, value in answer.items() if key != "ok"))
    return 0


def _greet(control: LabControl, chosen: argparse.Namespace) -> None:
    for name, seen in control.status().items():
        host = next(item for item in Plan(chosen.hosts).machines if item.name == name)
        bmc = f"{host.bmc_address}:{host.bmc_port} {host.bmc_user} {host.bmc_password}"
        _say(f"  {name}  {seen['state']}  {host.tcp_uri}  {host.tls_uri}  BMC {bmc}")
    _say(f"  shared storage: {SHARED} on each host, {store()} past them all")
    _say(f"  faults, in another terminal: {sys.executable} -m tests.lab do WORD host=h1")


def _stay(chosen: argparse.Namespace) -> None:
    """Run the portal, or nothing, until Ctrl-C."""
    if chosen.no_portal:
        _say("The lab is up; Ctrl-C stops it.")
        while True:
            signal.pause()
    vms = tuple(LabVm(number) for number in range(1, chosen.vms + 1))
    for vm in vms:
        vm.make_disk()
        _say(f"  {vm.name}  http://{vm.address}/")
    argv = [sys.executable, "-m", "tests.lab.portal", *(str(chosen.hosts), str(chosen.vms))]
    if chosen.tls:
        argv = as_engine(*argv, "tls")
    env = {"HOLDFAST_VAR": str(RUN / "portal"), "DJANGO_SETTINGS_MODULE": "portal.settings"}
    portal = spawn_seen(argv, {**os.environ, **env})
    try:
        portal.wait()
    finally:
        portal.send_signal(signal.SIGTERM)
        portal.wait()


def spawn_seen(argv: Sequence[str], env: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a child that writes to this terminal and dies with this process."""
    return spawn(argv, env=env, cwd=ROOT, log=sys.stdout.buffer)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
