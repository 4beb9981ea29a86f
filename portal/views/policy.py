"""The policy editor: every setting with its meaning, generated from the dataclass."""

from collections.abc import Mapping
from typing import Any

from fencing.domain.policy import FIELDS, Policy

#: How the settings are told apart on the page; a test checks that none is forgotten.
GROUPS: dict[str, tuple[str, ...]] = {
    "How hosts are watched": ("poll", "connect_deadline", "missed_polls", "grace", "witness"),
    "When a host may be fenced": (
        "fence_alone", "max_unreachable_pct", "max_fences_at_once", "start_quiet",
        "degraded_max", "degraded_action", "kdump_wait", "soft_recovery",
        "activity_check", "activity_samples", "activity_interval", "activity_ratio",
        "storage_silence",
    ),
    "How a fence is carried out": (
        "bmc_deadline", "off_settle", "off_reads", "off_read_gap", "fence_retry_first",
        "fence_retry_max", "after_fence", "boot_wait", "max_power_ons_per_hour",
    ),
    "How VMs are restarted": (
        "restart_tries", "restart_gap", "restart_slow_gap", "blocked_wait", "start_parallel",
        "shutdown_policy", "guest_stop_wait", "guest_stop_refused", "spare_hosts", "admission",
    ),
    "How VMs are migrated": (
        "migration_parallel", "migration_bandwidth", "migration_timeout", "post_copy",
    ),
}  # fmt: skip


def editor(own: Mapping[str, object], inherited: Policy) -> list[dict[str, Any]]:
    """Return the groups of settings: each with its own value, if any, and the one inherited."""
    return [
        {"title": title, "settings": [_setting(name, own, inherited) for name in names]}
        for title, names in GROUPS.items()
    ]


def _setting(name: str, own: Mapping[str, object], inherited: Policy) -> dict[str, Any]:
    meta = FIELDS[name].metadata
    unit, low, high = meta.get("unit", ""), meta.get("low"), meta.get("high")
    return {
        "name": name,
        "help": meta["help"],
        "unit": "seconds" if unit == "s" else "",  # the others stand in the name
        "limits": "" if low is None else f"{low:g} to {high:g}",
        "choices": meta.get("choices", ()),
        "kind": "lines" if name == "witness" else "text" if "choices" in meta else "number",
        "own": _shown(own.get(name)),
        "inherited": _shown(getattr(inherited, name)) or "none",
        "default": _shown(FIELDS[name].default) or "none",
    }


def _shown(value: object) -> str:
    """Return a value as the editor shows and takes it."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
