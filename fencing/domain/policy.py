"""Every setting of high availability: name, unit, default, range, meaning.

The one source for the database's overrides, the API, the editor and the
documentation.  Layers: global < cluster < host; rows hold validated overrides.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


class PolicyError(ValueError):
    """An override that is not acceptable; the text names the field and the cure."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


def _number(default: float, low: float, high: float, unit: str, text: str) -> Any:
    meta = {"low": low, "high": high, "unit": unit, "help": text}
    return field(default=default, metadata=meta)


def _choice(default: str, choices: tuple[str, ...], text: str) -> Any:
    return field(default=default, metadata={"choices": choices, "unit": "", "help": text})


_ON_OFF = ("on", "off")


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings in force for one host or cluster; seconds unless named otherwise."""

    poll: float = _number(2, 0.5, 60, "s", "Time between two looks at a host.")
    connect_deadline: float = _number(3, 1, 30, "s", "A look without an answer by then is missed.")
    missed_polls: int = _number(2, 1, 20, "looks", "Missed looks that make a host non-responsive.")
    grace: float = _number(
        10, 3, 3600, "s", "From the last good look until a host that may be alive is fenced."
    )
    activity_check: str = _choice("off", _ON_OFF, "Look for disk writes, where storage is read.")
    activity_samples: int = _number(6, 1, 60, "samples", "Disk activity samples per decision.")
    activity_interval: float = _number(10, 1, 300, "s", "Time between two activity samples.")
    activity_ratio: float = _number(0.7, 0, 1, "share", "Idle samples that mean no activity.")
    storage_silence: float = _number(
        20, 4, 600, "s", "How long a heartbeat must stand still, where storage is read."
    )
    degraded_max: float = _number(300, 10, 86400, "s", "How long a degraded host is left alone.")
    degraded_action: str = _choice("ask", ("ask", "fence"), "What happens after degraded_max.")
    fence_alone: str = _choice("off", _ON_OFF, "Fence even where no VM gains a home by it.")
    bmc_deadline: float = _number(8, 1, 60, "s", "A BMC without an answer by then is unreachable.")
    off_settle: float = _number(1, 0, 60, "s", "Wait between the off command and its first check.")
    off_reads: int = _number(2, 2, 10, "reads", "Times that a BMC must read back off.")
    off_read_gap: float = _number(2, 0.5, 60, "s", "Time between two of those reads.")
    fence_retry_first: float = _number(5, 1, 600, "s", "First pause after a failed fence.")
    fence_retry_max: float = _number(300, 5, 3600, "s", "Longest pause between fence attempts.")
    boot_wait: float = _number(600, 10, 3600, "s", "How long a powered-on host may take to answer.")
    max_unreachable_pct: float = _number(
        50, 1, 100, "%", "Silent share of a cluster (of 3 or more) at which nothing is fenced."
    )
    max_fences_at_once: int = _number(1, 1, 50, "fences", "Fences under way in one cluster.")
    start_quiet: float = _number(
        30, 0, 3600, "s", "After its own start, the engine fences no host that it has not seen."
    )
    witness: tuple[str, ...] = field(
        default=(),
        metadata={"unit": "", "help": "Addresses that tell whether this engine has a network."},
    )
    after_fence: str = _choice("power_on", ("power_on", "stay_off"), "What a fence ends with.")
    max_power_ons_per_hour: int = _number(3, 0, 60, "times", "Power-ons of one host per hour.")
    shutdown_policy: str = _choice(
        "migrate",
        ("migrate", "failover", "freeze", "conditional"),
        "VMs of a host that is shut down or rebooted: elsewhere, or waiting for it.",
    )
    guest_stop_wait: float = _number(
        120, 5, 3600, "s", "How long a guest may take to shut down when its host shall go off."
    )
    guest_stop_refused: str = _choice(
        "give_up", ("give_up", "stop"), "Where a guest does not: leave the host on, or end it."
    )
    soft_recovery: str = _choice(
        "off", _ON_OFF, "Restart a silent host's libvirtd over SSH, if need be before a fence."
    )
    kdump_wait: float = _number(
        0, 0, 3600, "s", "How long a crash dump holds the fence, where its message is received."
    )
    restart_tries: int = _number(10, 1, 1000, "tries", "Quick attempts to restart a VM.")
    restart_gap: float = _number(30, 1, 3600, "s", "Time between two quick attempts.")
    restart_slow_gap: float = _number(1800, 30, 86400, "s", "Time between attempts after those.")
    blocked_wait: float = _number(
        600, 0, 86400, "s", "How long a blocked VM holds back those of lower priority."
    )
    start_parallel: int = _number(4, 1, 100, "starts", "Starts under way on one host.")
    spare_hosts: int = _number(1, 0, 100, "hosts", "Hosts whose loss the cluster must survive.")
    migration_parallel: int = _number(
        2, 1, 20, "migrations", "Migrations at once away from a host, and to one."
    )
    migration_bandwidth: int = _number(
        0, 0, 1_000_000, "MiB/s", "What one migration may use of the network; 0: all of it."
    )
    migration_timeout: float = _number(
        600, 10, 86400, "s", "A migration that takes longer is finished by post-copy, or cancelled."
    )
    post_copy: str = _choice(
        "off", _ON_OFF, "Let a late migration run at its target before all memory is there."
    )
    admission: str = _choice("off", ("off", "warn", "enforce"), "Room check before a start.")


FIELDS = {setting.name: setting for setting in fields(Policy)}


MOST_WITNESSES = 5


def _checked(name: str, value: object) -> object:
    setting = FIELDS.get(name)
    if setting is None:
        raise PolicyError(name, f"no such setting; known are {', '.join(FIELDS)}")
    if name == "witness":
        if not isinstance(value, list | tuple) or not all(map(_is_witness, value)):
            text = 'must be a list of IP:PORT such as ["192.0.2.1:53"]; at most 5, best outside'
            raise PolicyError(name, f"{text} the rack: a refused connection counts as seen")
        if len(value) > MOST_WITNESSES:
            raise PolicyError(name, f"must name at most {MOST_WITNESSES} addresses")
        return tuple(value)
    choices = setting.metadata.get("choices")
    if choices:
        if value not in choices:
            raise PolicyError(name, f"must be one of {', '.join(choices)}")
        return value
    return _checked_number(name, value)


def _is_witness(item: object) -> bool:
    """Whether it is IP:PORT; a name would hang where the network is gone."""
    host, colon, port = item.rpartition(":") if isinstance(item, str) else ("", "", "")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    whole = colon and port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535
    return bool(whole) and (address.version == 4 or bare != host)


def _checked_number(name: str, value: object) -> float:
    meta = FIELDS[name].metadata
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PolicyError(name, f"must be a number of {meta['unit']}")
    if kind_of(name) == "whole_number" and value != int(value):
        raise PolicyError(name, "must be a whole number")
    if not meta["low"] <= value <= meta["high"]:
        raise PolicyError(
            name, f"must be between {meta['low']:g} and {meta['high']:g} {meta['unit']}"
        )
    return value


def validate(overrides: Mapping[str, object]) -> dict[str, object]:
    """Return ``overrides`` checked; raise :class:`PolicyError` naming the first bad field."""
    return {name: _checked(name, value) for name, value in overrides.items()}


def kind_of(name: str) -> str:
    """Return what a setting holds: number, whole_number, choice or addresses."""
    setting = FIELDS[name]
    if "choices" in setting.metadata:
        return "choice"
    if name == "witness":
        return "addresses"
    whole = setting.metadata["unit"] not in ("s", "%", "share") and isinstance(setting.default, int)
    return "whole_number" if whole else "number"


def describe() -> list[dict[str, Any]]:
    """Return every setting with all that an editor of the policy has to know."""
    return [
        {
            "name": setting.name,
            "kind": kind_of(setting.name),
            "unit": setting.metadata["unit"],
            "default": setting.default,
            "low": setting.metadata.get("low"),
            "high": setting.metadata.get("high"),
            "choices": list(setting.metadata.get("choices", ())),
            "help": setting.metadata["help"],
        }
        for setting in FIELDS.values()
    ]


def traced(layers: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, Any]]:
    """Return each setting's value in force and the layer that it comes from.

    ``layers``: from the outermost inwards, by name; what none overrides is of ``default``.
    """
    found: dict[str, dict[str, Any]] = {
        name: {"value": setting.default, "layer": "default"} for name, setting in FIELDS.items()
    }
    for layer, overrides in layers.items():
        for name, value in validate(overrides).items():
            found[name] = {"value": value, "layer": layer}
    return found


def layered(*layers: Mapping[str, object]) -> Policy:
    """Return the policy in force: defaults, overridden by each layer in turn."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(validate(layer))
    return Policy(**merged)
