"""How values look on pages: one table of icon, colour and words for every state."""

import json
import re
from datetime import datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

#: Kind of state -> value -> (icon, colour, words).  Colour never stands alone.
LOOKS: dict[str, dict[str, tuple[str, str, str]]] = {
    "host": {
        "pending": ("circle-dashed", "calm", "never seen"),
        "up": ("circle-check", "good", "up"),
        "connecting": ("clock", "warn", "connecting"),
        "non_responsive": ("alert-octagon", "bad", "not responding"),
        "non_operational": ("alert-triangle", "warn", "not operational"),
        "preparing_for_maintenance": ("tool", "info", "preparing for maintenance"),
        "maintenance": ("tool", "info", "maintenance"),
        "rebooting": ("refresh", "info", "rebooting"),
        "kdumping": ("activity", "warn", "writing a crash dump"),
        "down": ("power", "calm", "down, proven off"),
    },
    "ha": {
        "disabled": ("shield-off", "calm", "HA off"),
        "ineligible": ("shield-off", "calm", "not protected"),
        "available": ("shield-check", "good", "protected"),
        "suspect": ("heartbeat", "warn", "suspect"),
        "checking": ("search", "warn", "being checked"),
        "degraded": ("alert-triangle", "warn", "degraded, left alone"),
        "recovering": ("refresh", "info", "recovering"),
        "recovered": ("refresh", "info", "back, being compared"),
        "fencing": ("bolt", "bad", "being fenced"),
        "fenced": ("shield-lock", "info", "fenced"),
    },
    "power": {
        "on": ("plug", "good", "on"),
        "off": ("plug-off", "calm", "off"),
        "turning_off": ("power", "warn", "turning off"),
        "unknown": ("help", "calm", "not asked lately"),
        "refused_auth": ("key", "bad", "account refused"),
        "unreachable": ("wifi-off", "bad", "no answer"),
        "timed_out": ("wifi-off", "bad", "no answer in time"),
        "bad_settings": ("settings", "bad", "wrong settings"),
        "none": ("plug-off", "warn", "no BMC"),
    },
    "vm": {
        "down": ("player-stop", "calm", "down"),
        "starting": ("refresh", "info", "starting"),
        "up": ("player-play", "good", "up"),
        "paused": ("player-pause", "warn", "paused"),
        "suspended": ("snowflake", "info", "suspended"),
        "stopping": ("player-stop", "info", "stopping"),
        "migrating": ("transfer", "info", "migrating"),
        "unknown": ("help", "warn", "unknown"),
        "quarantined": ("hand-stop", "bad", "quarantined"),
        "waiting": ("clock", "warn", "waits for its restart"),
    },
    "vm_ha": {
        "on": ("shield-check", "good", "HA"),
        "off": ("shield-off", "calm", "no HA"),
    },
    "engine": {
        "alive": ("circle-check", "good", "watching"),
        "silent": ("alert-octagon", "bad", "silent"),
    },
    "door": {
        "open": ("user-check", "good", "may sign in"),
        "shut": ("user-off", "bad", "shut out"),
    },
    "check": {
        "ok": ("circle-check", "good", "good"),
        "warn": ("alert-triangle", "warn", "look at it"),
        "bad": ("alert-octagon", "bad", "wrong"),
    },
    "run": {
        "starting": ("refresh", "info", "starting"),
        "running": ("player-play", "good", "open"),
    },
    "identity": {
        "proven": ("shield-check", "good", "this host's"),
        "unproven": ("help", "warn", "not proven"),
        "foreign": ("alert-octagon", "bad", "another machine's"),
    },
    "mode": {
        "armed": ("shield-check", "good", "HA armed"),
        "observe": ("eye", "warn", "HA only observes"),
    },
    "operation": {
        "requested": ("clock", "info", "asked for"),
        "acting": ("activity", "info", "under way"),
        "waiting": ("clock", "info", "waiting"),
        "done": ("circle-check", "good", "done"),
        "failed": ("circle-x", "bad", "failed"),
        "refused": ("hand-stop", "bad", "refused"),
        "cancelled": ("circle-x", "calm", "cancelled"),
    },
    "incident": {
        "": ("activity", "bad", "under way"),
        "failed_over": ("circle-check", "good", "failed over"),
        "recovered": ("circle-check", "good", "recovered by itself"),
        "restarted": ("circle-check", "good", "restarted"),
        "incomplete": ("alert-triangle", "warn", "over, but not all VMs run"),
        "host_down": ("power", "calm", "host down"),
    },
}

#: First words of an event's kind -> icon and colour; the longest that fits wins.
EVENTS = {
    "account": ("user", "calm"),
    "account.locked_out": ("lock", "warn"),
    "account.reset": ("key", "warn"),
    "account.wrong_code": ("lock", "warn"),
    "alert": ("alert-triangle", "warn"),
    "alert.confirm_reboot": ("hand-stop", "bad"),
    "alert.split_brain": ("alert-octagon", "bad"),
    "bmc": ("plug", "calm"),
    "bmc.problem": ("wifi-off", "warn"),
    "cluster": ("stack-2", "info"),
    "confirm": ("hand-stop", "warn"),
    "fence": ("bolt", "bad"),
    "ha": ("shield", "info"),
    "ha.fencing": ("bolt", "bad"),
    "ha.suspect": ("heartbeat", "warn"),
    "host": ("server", "calm"),
    "host.non_responsive": ("alert-octagon", "bad"),
    "host.proven_off": ("shield-lock", "good"),
    "host.up": ("circle-check", "good"),
    "incident": ("flame", "bad"),
    "incident.closed": ("check", "good"),
    "incident.vm": ("clock", "calm"),
    "notification": ("bell", "calm"),
    "notification.failing": ("bell", "warn"),
    "recovery": ("refresh", "info"),
    "resource": ("shield", "info"),
    "resource.fencing": ("bolt", "bad"),
    "resource.needs_person": ("hand-stop", "warn"),
    "resource.suspect": ("heartbeat", "warn"),
    "run.proof": ("shield-lock", "good"),
    "vm": ("device-desktop", "calm"),
    "vm.migrating": ("transfer", "info"),
    "vm.migration_failed": ("circle-x", "warn"),
    "vm.moved": ("transfer", "good"),
    "vm.running": ("player-play", "good"),
    "vm.split_brain": ("alert-octagon", "bad"),
    "vm.disk_clash": ("alert-octagon", "bad"),
    "vm.start_failed": ("circle-x", "bad"),
}

#: The rows of the decision table, in words (fencing/domain/decision.py).
RULES = {
    "row 1": "Row 1: the BMC said off while the host answered, so it is not believed",
    "row 2": "Row 2: proven off by its BMC, so its VMs may start elsewhere",
    "row 3": "Row 3: its storage heartbeat advances, so it lives and its VMs are left running",
    "row 4": "Row 4: its kernel answers, so its VMs are left running",
    "row 5": "Row 5: power on, and its storage heartbeat has stood still too long: fence it",
    "row 6": "Row 6: silent for the whole grace, power on, no sign of life: fence it",
    "row 7": "Row 7: dead by sanlock's rules, so its leased VMs may be taken over, and only those",
    "row 8": "Row 8: no proof to be had, so a person is asked and nothing is guessed",
    "manual": "A person's word",
    "by hand": "Asked for by a person",
    "power_off": "Proof: its BMC read back off",
    "observed_off": "Proof: its host reports it off",
    "rebooted": "Proof: its host has rebooted",
    "kdump": "Proof: its host's crash kernel writes a dump",
    "never_started": "Proof: it never started",
    "migrated": "Proof: its host says that it is gone from there, and another one goes on with it",
    "outside": "Somebody does it past the portal",
    "destroyed_by_us": "Proof: stopped at the portal's word",
}


@register.simple_tag
def icon(name: str, colour: str = "") -> SafeString:
    """Return an icon of the sprite; it is decoration, so the words must stand beside it."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        f"tone-{colour}" if colour else "",
        static("vendor/icons.svg"),
        name,
    )


@register.simple_tag
def state(kind: str, value: str) -> SafeString:
    """Return a state as icon, colour and words."""
    name, colour, words = LOOKS[kind].get(str(value), ("help", "calm", str(value)))
    sign = icon(name, colour)
    return format_html('<span class="state state-{}">{}{}</span>', colour, sign, words)


@register.simple_tag
def event_icon(kind: str) -> SafeString:
    """Return the icon of an event's kind."""
    fits = [known for known in EVENTS if kind == known or kind.startswith(f"{known}.")]
    name, colour = EVENTS[max(fits, key=len)] if fits else ("circle-dot", "calm")
    return icon(name, colour)


@register.filter
def rule_words(rule: str) -> str:
    """Return what a rule says, in words."""
    return RULES.get(rule, rule)


@register.filter
def ago(at: datetime | None) -> SafeString:
    """Return a time as an age that the page keeps counting, the exact time in its title."""
    if at is None:
        return format_html("<span>{}</span>", "never")
    shown = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    age = '<time datetime="{}" title="{}" data-age>{}</time>'
    return format_html(age, at.isoformat(), shown, shown)


@register.filter
def clock_time(at: datetime) -> SafeString:
    """Return the time of day of an event, to the tenth of a second."""
    text = f"{at:%H:%M:%S}.{at.microsecond // 100000}"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), f"{at:%Y-%m-%d} UTC", text
    )


@register.filter
def span(seconds: float | None) -> str:
    """Return a duration in words: ``4.2 s``, ``1 min 5 s``, ``2 h 3 min``."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


@register.filter
def mib(size: int) -> str:
    """Return a size in MiB as a person reads it: ``512 MiB``, ``16 GiB``, ``1.5 TiB``."""
    for unit in ("MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024  # type: ignore[assignment]  # whole MiB become parts of a larger unit
    return f"{size:.4g} TiB"


@register.filter
def as_json(value: Any) -> str:
    """Return a value as a person edits it."""
    return json.dumps(value)


@register.filter
def said(value: object) -> str:
    """Return a setting's value in words: yes and no instead of True and False."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


@register.filter
def named(names: dict[int, str], pk: int) -> str:
    """Return the name of something by its number; the empty text where it is gone."""
    return names.get(pk, "")


@register.filter
def words(name: str) -> str:
    """Return a field's or state's name as words."""
    parts = str(name).split("_")
    return " ".join(_SHORT.get(part, part) for part in parts)


#: Parts of names that are written in capitals.
_SHORT = {"bmc": "BMC", "bmcs": "BMCs", "ha": "HA", "pct": "%", "url": "URL", "vms": "VMs"}


_TIME = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d(?:\.\d)?)\d*(?:\+00:00|Z)")


@register.filter
def evidence(value: Any) -> SafeString:
    """Return evidence as nested lists of name and value, for a person to read."""
    if isinstance(value, dict):
        rows = ((words(name), evidence(inner)) for name, inner in value.items())
        return format_html("<dl>{}</dl>", format_html_join("", "<dt>{}</dt><dd>{}</dd>", rows))
    if isinstance(value, list | tuple):
        return format_html_join("", "<div>{}</div>", ((evidence(inner),) for inner in value))
    if isinstance(value, bool):
        return format_html("{}", "yes" if value else "no")
    if value in (None, ""):
        return format_html("{}", "–")
    return format_html("{}", _TIME.sub(r"\1 UTC", str(value).replace("_", " ")))
