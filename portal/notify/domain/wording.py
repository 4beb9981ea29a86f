"""What a notification says: what happened, what Holdfast did, what the person must do."""

from collections.abc import Mapping, Sequence
from typing import Any

from fencing.domain.alerts import CURE, AlertKind
from portal.notify.domain.telling import FAILING, HELP, Happening, called_off, needs_person

SUBJECT_CHARS = 150
_SUBJECTS_NAMED = 4
_PREFIX = "[Holdfast]"
NOTHING = "Nothing."
_NOTED = "It wrote this down; nothing else was needed."

_ALERTS: dict[AlertKind, str] = {
    AlertKind.HOST_NOT_RESPONDING: (
        "It is gathering evidence; it fences the host, or asks you, when the grace is over."
    ),
    AlertKind.CONFIRM_REBOOT: (
        "It cannot prove that the host is off, so it starts none of its VMs elsewhere."
    ),
    AlertKind.HOST_DEGRADED: "It left the host and its VMs alone: they seem to run.",
    AlertKind.FENCE_FAILED: "It keeps trying to fence the host, and starts none of its VMs.",
    AlertKind.FENCE_HELD: "It did not fence the host: a guard holds the power command back.",
    AlertKind.RECOVERY_FAILED: "It left the host's VMs alone by that; the table decides as ever.",
    AlertKind.BMC_AUTH: "It can neither fence this host nor prove it off until that is repaired.",
    AlertKind.BMC_FOREIGN: "It believes nothing that this BMC says, and sends it no command.",
    AlertKind.BMC_UNREACHABLE: "It goes on asking; meanwhile it cannot fence this host.",
    AlertKind.CONTRADICTION: "It does not believe this BMC any more.",
    AlertKind.SPLIT_BRAIN: "It put the VM into quarantine: it starts and moves no copy of it.",
    AlertKind.FORGETFUL_DATABASE: "It starts nothing in that cluster.",
    AlertKind.PROOF_DISPROVED: "It suspended the old copies on that host.",
    AlertKind.NO_ROOM: "It could not place the VM; it starts it as soon as there is room.",
    AlertKind.ONE_HOST_ONLY: "It goes on protecting the VM, but has no second host to start it on.",
    AlertKind.CANNOT_MOVE: "It left the VM running where it is, and tries again.",
    AlertKind.AWAY_FROM_HOME: "It left the VM running where it is.",
    AlertKind.WAITS_FOR_HOST: "It keeps the VM down until its host is used again.",
    AlertKind.START_FAILED: "It tried each host that it may use; the VM is down.",
    AlertKind.ONLY_OBSERVING: "It started nothing: HA is not armed in that cluster.",
    AlertKind.VM_DESTROYED: "It left the VM off: somebody's own stop is not undone.",
    AlertKind.LEASE_HELD: "It left the VM down, and asks sanlock again until it may start it.",
    AlertKind.VM_HELD: "It left the VM down, and starts it when nothing holds it any more.",
    AlertKind.VM_PAUSED: "It does what the VM's resume behaviour says; the text says which.",
    AlertKind.VM_OUT_OF_SIGHT: "It starts no second copy while it cannot see the first.",
    AlertKind.BOOT_OVERDUE: "It powered the host on and waits for its first answer.",
    AlertKind.REMOVED_VM_RUNS: "It left that copy alone: it neither stops nor protects it.",
    AlertKind.STAYS_OFF: "It switches the host on no more.",
    AlertKind.NOTIFICATION_FAILING: "It goes on trying, and keeps everything in the log.",
}

_DID: Mapping[str, str] = {f"alert.{kind}": text for kind, text in _ALERTS.items()} | {
    "ha.fencing": "It is switching the host off, and reads back from its BMC whether it is off.",
    "fence.failed": "It tries again, ever more slowly, and starts none of the host's VMs.",
    "host.proven_off": (
        "It ended the runs of the host's VMs with this proof; those under HA start elsewhere."
    ),
    "host.disproved": "It suspends the old copies on that host.",
    "confirm.refused": "It did not take the confirmation, and started nothing.",
    "confirm.override": "It took a person's word against what it saw, and recorded whose.",
    "incident.closed": "It closed the incident.",
    "resource.recovering": "It is having it repaired, as its provider can.",
    "resource.fencing": "It is making it unable to act, and has that read back.",
    "resource.fenced": "It has it proven off, and waits until it is healthy again.",
    HELP: "It goes on asking how it is, and repeats what failed, ever more slowly.",
    FAILING: _ALERTS[AlertKind.NOTIFICATION_FAILING],
}

_TO_DO: Mapping[str, str] = {f"alert.{kind}": text for kind, text in CURE.items()} | {
    "fence.failed": CURE[AlertKind.FENCE_FAILED],
    "host.disproved": CURE[AlertKind.PROOF_DISPROVED],
    HELP: "Look at it yourself; declare it degraded if it serves, or disable HA for it.",
    FAILING: CURE[AlertKind.NOTIFICATION_FAILING],
}


def done_about(event: Happening) -> str:
    """Return what Holdfast did, in one sentence."""
    if called_off(event):
        return "It called the fence off."
    return _DID.get(event.kind, _NOTED)


def to_do_about(event: Happening) -> str:
    """Return what the person must do, in a sentence or two."""
    return _TO_DO.get(event.kind, NOTHING)


def link_to(event: Happening, base_url: str) -> str:
    """Return the page that explains the event: its incident's, or the overview."""
    return f"{base_url}/incidents/{event.incident}/" if event.incident else f"{base_url}/"


def one_line(text: str, longest: int = SUBJECT_CHARS) -> str:
    """Return ``text`` as one line that no reader takes for more."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def _subject_of(event: Happening) -> str:
    return event.vm_name or event.host_name


def subject(events: Sequence[Happening]) -> str:
    """Return the subject of a mail about ``events``: one told whole, several counted."""
    urgent = [event for event in events if needs_person(event.kind)]
    if len(events) == 1:
        text = events[0].text.removeprefix("alert, ")
        return one_line(f"{_PREFIX} {'needs you: ' * bool(urgent)}{text}")
    names = list(dict.fromkeys(filter(None, map(_subject_of, urgent or events))))
    shown = ", ".join(names[:_SUBJECTS_NAMED]) + " …" * (len(names) > _SUBJECTS_NAMED)
    needs = f", {len(urgent)} need you" if urgent else ""
    return one_line(f"{_PREFIX} {len(events)} events{needs}{': ' * bool(names)}{shown}")


def mail_text(events: Sequence[Happening], base_url: str) -> str:
    """Return the text of a mail: what needs a person first, then the rest in order."""
    ordered = sorted(events, key=lambda event: (not needs_person(event.kind), event.pk))
    return "\n\n".join(_paragraph(event, base_url) for event in ordered) + f"\n\n-- \n{base_url}\n"


def _paragraph(event: Happening, base_url: str) -> str:
    lines = [
        f"{event.at:%Y-%m-%d %H:%M:%S} UTC",
        f"What happened:    {one_line(event.text, 1000)}",
        f"What Holdfast did: {done_about(event)}",
        f"What you must do: {to_do_about(event)}",
        link_to(event, base_url),
    ]
    return "\n".join(lines)


def payload(message: str, events: Sequence[Happening], base_url: str) -> dict[str, Any]:
    """Return the JSON of a webhook about ``events``; no event means a test."""
    return {
        "id": message,
        "type": "events" if events else "test",
        "portal": base_url,
        "subject": subject(events) if events else TEST_SUBJECT,
        "needs_person": any(needs_person(event.kind) for event in events),
        "events": [_as_json(event, base_url) for event in events],
    }


TEST_SUBJECT = f"{_PREFIX} test"


def test_text(base_url: str) -> str:
    """Return the text of a mail that only shows that mails arrive."""
    return f"Somebody asked the portal for a test. Mails to you arrive.\n\n-- \n{base_url}\n"


def _as_json(event: Happening, base_url: str) -> dict[str, Any]:
    return {
        "id": event.pk,
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "kind": event.kind,
        "needs_person": needs_person(event.kind),
        "what_happened": event.text,
        "what_holdfast_did": done_about(event),
        "what_to_do": to_do_about(event),
        "link": link_to(event, base_url),
        "cluster": event.cluster or None,
        "host": {"id": event.host, "name": event.host_name} if event.host else None,
        "vm": {"id": event.vm, "name": event.vm_name} if event.vm else None,
        "incident": event.incident or None,
        "actor": event.actor,
        "rule": event.rule,
    }
