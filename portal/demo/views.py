"""The fault panel: buttons that break the box, beside the truth about it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from hosts.models import Host
from portal.core import problems
from portal.core.models import Role
from portal.core.permissions import scopes_of
from portal.core.services import record_event
from portal.demo.control import BoxDown, Control, ControlError
from portal.demo.layout import Box
from portal.demo.words import WORDS
from portal.lib import clock


@dataclass(frozen=True, slots=True)
class Button:
    """One button: the word of the box, what it says, and whether it heals."""

    word: str
    label: str
    heals: bool = False
    more: str = ""  # further fields, as JSON without braces

    def fields(self, kind: str, name: str) -> str:
        """Return the JSON that the button sends."""
        whole = {"do": self.word} | ({kind: name} if kind else {})
        return json.dumps(whole | json.loads(f"{{{self.more}}}"))


def _buttons(seen: dict[str, Any]) -> list[Button]:
    """Return what can be done to a host now: never a button that changes nothing."""
    on, off = seen["state"] in ("on", "panicked"), seen["state"] == "off"
    dead = not seen["bmc"]["alive"]
    return [
        *([Button("power.cut", "Cut power cord")] if not dead else []),
        *([Button("host.power_off", "Pull power")] if on else []),
        *([Button("host.panic", "Crash kernel")] if seen["state"] == "on" else []),
        Button("host.thaw", "Thaw libvirtd", True)
        if seen["hung"]
        else Button("host.hang", "Freeze libvirtd"),
        Button("host.rejoin", "Rejoin network", True)
        if seen["isolated"]
        else Button("host.isolate", "Isolate from portal"),
        *([Button("power.restore", "Restore power", True)] if dead else []),
        *([Button("host.power_on", "Switch on", True)] if off and not dead else []),
        *([Button("host.reboot", "Reboot", True)] if seen["state"] == "panicked" else []),
    ]


def _bmc_buttons(seen: dict[str, Any]) -> list[Button]:
    bmc = seen["bmc"]
    well = bmc["alive"] and bmc["auth_ok"] and not bmc["swapped"] and not bmc["slow_off_s"]
    repair = [] if well and not bmc.get("lie") else [Button("bmc.repair", "Repair BMC", True)]
    breaks = [
        Button("bmc.fail", "Break BMC"),
        Button("bmc.auth_fail", "Change its password"),
        Button("bmc.slow_off", "Off takes 12 s", more='"s": 12'),
        Button("bmc.lie", "Let it lie: off", more='"answer": "off"'),
    ]
    return repair + (breaks if bmc["alive"] else [])


def _truth(seen: dict[str, Any]) -> str:
    """Return in words how a host really is."""
    bmc = seen["bmc"]
    facts = [
        {"on": "on", "off": "off", "booting": "booting", "panicked": "kernel dead"}.get(
            seen["state"], seen["state"]
        ),
        "libvirtd frozen" if seen["hung"] else "",
        "cut off from the portal" if seen["isolated"] else "",
        "" if bmc["alive"] else "BMC dead",
        "" if bmc["auth_ok"] else "BMC password changed",
        "BMC cable swapped" if bmc["swapped"] else "",
        f"off takes {bmc['slow_off_s']:g} s" if bmc["slow_off_s"] else "",
    ]
    return ", ".join(fact for fact in facts if fact)


def _row(name: str, seen: dict[str, Any]) -> dict[str, Any]:
    def made(items: list[Button]) -> list[dict[str, Any]]:
        return [{"button": item, "fields": item.fields("host", name)} for item in items]

    guests = [
        {
            "name": vm,
            "crash": Button("vm.crash", "").fields("vm", vm),
            "shut": Button("vm.guest_shutdown", "").fields("vm", vm),
        }
        for vm in seen["running"]
    ]
    return {
        "name": name,
        "truth": _truth(seen),
        "well": _truth(seen) == "on",
        "buttons": made(_buttons(seen)),
        "bmc_buttons": made(_bmc_buttons(seen)),
        "guests": guests if seen["state"] == "on" else [],
    }


def faults(request: HttpRequest) -> HttpResponse:
    """Show the panel (GET), or do one word of the box (POST, JSON)."""
    if not scopes_of(request.user, Role.OPERATOR).everything:
        raise PermissionDenied
    control = Control(Path(settings.DEMO_DIR))
    if request.method == "POST":
        return _do(request, control)
    try:
        seen, down = control.status(deadline=3.0), ""
    except ControlError as error:
        seen, down = {}, str(error)
    known = Host.objects.filter(name__in=seen).values_list("name", flat=True)
    rows = [_row(name, seen[name]) for name in sorted(known)]
    return render(request, "parts/faults.html", {"rows": rows, "down": down})


def spare(request: HttpRequest) -> HttpResponse:
    """Return where the spare host stands, for whoever tries to add one; nothing once it is in."""
    if not scopes_of(request.user, Role.ADMIN):
        raise PermissionDenied
    found = Box.read(Path(settings.DEMO_DIR)).spare
    if found is None or Host.objects.filter(uri=found.uri).exists():
        return HttpResponse("")
    fill = {
        "uri": found.uri,
        "driver": "ipmi",
        "address": "127.0.0.1",
        "port": found.bmc_port,
        "username": found.bmc_user,
        "password": found.bmc_password,
    }
    return render(request, "parts/spare.html", {"spare": found, "fill": json.dumps(fill)})


def _do(request: HttpRequest, control: Control) -> JsonResponse:
    known = {word.name for word in WORDS} - {"box.populate", "box.wipe"}
    try:
        fields = json.loads(request.body)
        word = str(fields.pop("do"))
    except RequestDataTooBig:
        return _problem(413, "too_large", "the body is too long", "Send JSON with one word.")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return _problem(400, "invalid", "“do” is missing", "Send JSON with a word in “do”.")
    if word not in known:
        return _problem(400, "invalid", f"{word} is no word here", f"One of {sorted(known)}.")
    if not set(fields) <= {"host", "vm", "with", "s", "answer", "policy", "identified"}:
        return _problem(400, "invalid", "there is a field that no word takes", "Leave it out.")
    try:
        answer = control.do(word, **{f"{name}_": value for name, value in fields.items()})
    except BoxDown as error:
        return _problem(503, "box_down", str(error), "Start the demo again.")
    except ControlError as error:
        return _problem(422, "refused", str(error), ", ".join(error.known))
    where = str(fields.get("host") or fields.get("vm") or "the box")
    told = next(item.text for item in WORDS if item.name == word)
    text = f"fault in the box: {where}: {told}"
    record_event("demo.fault", text, now=clock.now(), actor=str(request.user), evidence=fields)
    return JsonResponse({"state": "done", "at_monotonic": answer["at_monotonic"]})


def _problem(status: int, code: str, text: str, cure: str) -> JsonResponse:
    told = problems.body(status, code, text, cure=cure)
    return JsonResponse(told, status=status, content_type=problems.MEDIA_TYPE)
