"""What each power driver wants to know: its port, and which options with which values.

Pure words, so that a form, the REST API and the drivers themselves refuse the same
things.  No option here takes a secret, a command or a file to write.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_FLAG = "0|1"
_PLUG = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
_PAUSE = "[0-9]|1[0-9]|20"
_FINGERPRINT = r"sha256:[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}"


class BadOption(ValueError):
    """An option that a driver does not take like this; ``name`` is its key."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True)
class Option:
    """One option: the values it takes (a pattern of the whole text), and what to write."""

    values: str
    cure: str


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver, or one fence agent: port, options, and those that must not be missing.

    ``defaults`` are an agent's settings that stand unless an option says otherwise.
    """

    port: int
    options: Mapping[str, Option] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    defaults: Mapping[str, str] = field(default_factory=dict)


_FLAG_CURE = "write 1 (yes) or 0 (no)"
_POWER_WAIT = Option(_PAUSE, "write seconds from 0 to 20: how long it pauses after a command")
_PLUG_OPTION = Option(
    _PLUG, "write one outlet's number or name; give a second outlet a controller of its own"
)

_IPMI_AGENT = Driver(
    port=623,
    options={
        "lanplus": Option(_FLAG, f"{_FLAG_CURE}: IPMI 2.0, or the older and weaker 1.5"),
        "cipher": Option("[1-9]|1[0-9]", "write a cipher suite's number, mostly 17 or 3"),
        "privlvl": Option("user|operator|administrator", "write user, operator or administrator"),
        "power_wait": _POWER_WAIT,
    },
    # `cycle` reports success before the machine is off.
    defaults={"lanplus": "1", "method": "onoff"},
)

#: The only fence agents that are ever run.  Not here: those that put a secret into argv
#: (all SNMP ones), that need a file or a command as an option, that fence storage or
#: a cloud's account, and fence_redfish, which the driver ``redfish`` outdoes.
AGENTS: Mapping[str, Driver] = {
    "fence_ipmilan": _IPMI_AGENT,
    "fence_idrac": _IPMI_AGENT,
    "fence_ilo3": _IPMI_AGENT,
    "fence_ilo4": _IPMI_AGENT,
    "fence_ilo5": _IPMI_AGENT,
    "fence_imm": _IPMI_AGENT,
    "fence_apc": Driver(
        port=22,
        options={
            "plug": _PLUG_OPTION,
            "ssh": Option(_FLAG, f"{_FLAG_CURE}: SSH, or telnet in the clear (port 23)"),
            "switch": Option("[0-9]{1,2}", "write the number of the switch in a chain"),
            "power_wait": _POWER_WAIT,
        },
        needs=frozenset({"plug"}),
        defaults={"ssh": "1"},
    ),
    "fence_pve": Driver(
        port=8006,
        options={
            "plug": Option("[1-9][0-9]{0,8}", "write the number (VMID) of the virtual machine"),
            "pve_node": Option(_PLUG, "write the name of the Proxmox VE node"),
            "vmtype": Option("qemu|lxc", "write qemu or lxc"),
            "ssl_insecure": Option(_FLAG, f"{_FLAG_CURE}: take any certificate"),
            "power_wait": _POWER_WAIT,
        },
        needs=frozenset({"plug"}),
        defaults={"method": "onoff"},
    ),
}
#: Agents that run ipmitool, which would take the password from argv.
IPMI_AGENTS = frozenset(name for name, agent in AGENTS.items() if agent is _IPMI_AGENT)

_AGENT = Option("|".join(AGENTS), f"write one of these: {', '.join(AGENTS)}")

DRIVERS: Mapping[str, Driver] = {
    "ipmi": Driver(
        port=623,
        options={
            "guid_order": Option("auto|smbios|ipmi|rfc4122", "write auto, smbios, ipmi or rfc4122"),
        },
    ),
    "redfish": Driver(
        port=443,
        options={
            "system": Option(
                r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}",
                "write the Id of one system, such as 1 or System.Embedded.1",
            ),
            "verify": Option(
                rf"off|/[^\x00-\x1f\x7f]{{1,255}}|{_FINGERPRINT}",
                "write the absolute path of a CA file on the portal's server, or sha256: and the "
                "certificate's fingerprint in hex, or off; without it the system's CAs decide",
            ),
        },
    ),
}


def driver_of(name: str, options: Mapping[str, object]) -> Driver:
    """Return what ``name`` wants; a fence agent is named by the option ``agent``.

    Raises :class:`BadOption` when that is missing or unknown.  A driver that is not
    described here takes no options.
    """
    if name != "fence-agent":
        return DRIVERS.get(name, Driver(port=623))
    agent = options.get("agent")
    if not isinstance(agent, str) or agent not in AGENTS:
        raise BadOption("agent", _AGENT.cure)
    return AGENTS[agent]


def checked_options(name: str, options: Mapping[str, object]) -> dict[str, str]:
    """Return ``options`` as the driver takes them; :class:`BadOption` for the first fault."""
    driver = driver_of(name, options)
    known = dict(driver.options)
    if name == "fence-agent":
        known["agent"] = _AGENT
    checked = {}
    for key, value in options.items():
        option = known.get(key)
        if option is None:
            offered = ", ".join(sorted(known)) or "none"
            raise BadOption(key, f"{name} has no such option: leave it out; there are {offered}")
        if not isinstance(value, str) or not re.fullmatch(option.values, value):
            raise BadOption(key, option.cure)
        checked[key] = value
    for key in sorted(driver.needs - set(checked)):
        raise BadOption(key, f"is missing: {driver.options[key].cure}")
    return checked


def default_port(name: str, options: Mapping[str, object]) -> int:
    """Return the port that such a controller mostly listens on."""
    driver = driver_of(name, options)
    if options.get("agent") == "fence_apc" and options.get("ssh") == "0":
        return 23
    return driver.port


def machine_at(options: Mapping[str, object]) -> str:
    """Return which of the machines behind one address is meant; empty where there is one."""
    return str(options.get("plug") or options.get("system") or "")
