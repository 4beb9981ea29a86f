"""The lab's one network: a bridge, a cable to each host, and cuts between any two ends.

The commands run in the supervisor's own network namespace; nothing of it is seen or
changed outside.  A cut is a rule at one end: of a host, or of the BMCs' bridge.
"""

import os
import subprocess
from pathlib import Path

from tests.lab.layout import ENGINE, PREFIX, UPLINK, LabHost
from tests.lab.parts import run

BRIDGE = "br0"
_INSIDE = "uplink"


def lead_in(pid: int) -> None:
    """Lay the cable from this machine into the network of process ``pid``; outside only."""
    run("ip", "link", "add", UPLINK, "type", "veth", "peer", "name", _INSIDE, "netns", str(pid))
    run("ip", "addr", "add", f"{ENGINE}/{PREFIX}", "dev", UPLINK)
    run("ip", "link", "set", UPLINK, "up")


def take_out() -> None:
    """Take that cable away, if it is there; outside only.

    The kernel does so too, but only when the last packet of a connection that was cut
    off in the middle has been given up.
    """
    _try("ip", "link", "del", UPLINK)


def build() -> None:
    """Make the bridge; the cable to this machine is laid from outside."""
    run("ip", "link", "set", "lo", "up")
    # Without an address of its own it takes that of one of its cables, and another when that
    # one goes: whoever knows a BMC by it would call into the void.
    run("ip", "link", "add", BRIDGE, "address", "52:54:00:77:00:fe", "type", "bridge")
    run("ip", "link", "set", BRIDGE, "up")


def has_uplink() -> bool:
    """Whether the cable to this machine has been laid."""
    return f"{_INSIDE}:" in Path("/proc/net/dev").read_text(encoding="ascii")


def join_uplink() -> None:
    """Connect the cable to this machine."""
    run("ip", "link", "set", _INSIDE, "master", BRIDGE)
    run("ip", "link", "set", _INSIDE, "up")


def plug_bmc(host: LabHost) -> None:
    """Give a BMC its address; there already is success."""
    run("ip", "addr", "replace", f"{host.bmc_address}/{PREFIX}", "dev", BRIDGE)


def unplug_bmc(host: LabHost) -> None:
    """Let nobody answer for a BMC's address: it is dead, not merely deaf."""
    _try("ip", "addr", "del", f"{host.bmc_address}/{PREFIX}", "dev", BRIDGE)


def plug_host(host: LabHost, pid: int) -> None:
    """Lay a cable to the network namespace of process ``pid``."""
    run(
        *("ip", "link", "add", host.name, "type", "veth", "peer"),
        *("name", "eth0", "netns", str(pid)),
    )
    run("ip", "link", "set", host.name, "master", BRIDGE)
    run("ip", "link", "set", host.name, "up")


def unplug_host(host: LabHost) -> None:
    """Take the cable away, if it is there."""
    _try("ip", "link", "del", host.name)


def switch_cable(host: LabHost, *, on: bool) -> None:
    """Cut or mend the whole cable of a host: its VMs are cut off with it."""
    run("ip", "link", "set", host.name, "up" if on else "down")


def rule(action: str, other: str, *, pid: int | None = None, own: str | None = None) -> None:
    """Add (-A) or delete (-D) what drops every packet of ``other``, both ways.

    ``pid``: in that process's network; ``own``: only for this address of ours.
    """
    inside = [] if pid is None else ["nsenter", "-t", str(pid), "-n", "--"]
    here = [] if own is None else ["-d", own]
    back = [] if own is None else ["-s", own]
    run(*inside, "iptables", "-w", action, "INPUT", "-s", other, *here, "-j", "DROP")
    run(*inside, "iptables", "-w", action, "OUTPUT", "-d", other, *back, "-j", "DROP")


def own_network(pid: int) -> bool:
    """Whether process ``pid`` has a network of its own by now."""
    try:
        theirs = os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 - no path: "net:[…]"
        return theirs != os.readlink("/proc/self/ns/net")  # noqa: PTH115 - as above
    except FileNotFoundError:
        return False


def _try(*argv: str) -> None:
    subprocess.run(argv, capture_output=True, check=False)
