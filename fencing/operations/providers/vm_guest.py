"""What is inside a VM: whether its heartbeat answers, and a restart when it does not.

A refused connection or a wrong answer is NO.  Silence is UNKNOWN, for the network
between may be gone; it becomes NO only while ``witness``, an address in the guest's
own network, answers.  Recovery stops the run at its host, which ends it with a proof,
and the rounds start the VM again as after a crash: there is never a second copy.
"""

import http.client
import socket
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlsplit

from portal.lib import clock
from portal.lib.ha.evidence import Answer, Evidence, unknown
from portal.lib.ha.provider import Ask, Capability, Subject
from vms.domain.states import VmState
from vms.models import Run, Vm
from vms.services import requests

#: Of the deadline: for the guest; the witness has the rest.
_SHARE = 0.6


class VmGuest:
    """The inside of a VM by a heartbeat over TCP or HTTP."""

    name = "vm-guest"
    kinds: tuple[str, ...] = ("vm",)
    capabilities = frozenset({Capability.RECOVER})
    options: Mapping[str, str] = {
        "tcp": "IP:PORT in the guest that takes connections while it is well",
        "url": "http://IP:PORT/PATH that answers 2xx while it is well",
        "witness": "IP:PORT beside the guest; silence counts only while this answers",
    }

    def is_eligible(self, subject: Subject, ask: Ask) -> Evidence:
        """It needs a heartbeat, and a VM under HA, so that a stop is followed by a start."""
        vm = Vm.objects.get(pk=int(subject.key))
        why = _hindrance(vm, subject)
        answer = Answer.NO if why else Answer.YES
        return Evidence(answer, self.name, why or "it has a heartbeat", ask.asked_at)

    def is_healthy(self, subject: Subject, ask: Ask) -> Evidence:
        """Ask its heartbeat; a VM that is not up is the business of its own HA."""
        vm = Vm.objects.get(pk=int(subject.key))
        if vm.state != VmState.UP:
            return unknown(self.name, f"the VM is {vm.state}", ask.asked_at)
        answer, text = _heartbeat(subject.options, ask.deadline * _SHARE)
        if answer is Answer.UNKNOWN and "witness" in subject.options:
            place, left = str(subject.options["witness"]), ask.deadline * (1 - _SHARE) / 2
            if _connects(place, left) is not Answer.UNKNOWN:
                answer, text = Answer.NO, f"{text}, while {place} beside it answers"
        return Evidence(answer, self.name, text, ask.asked_at)

    def has_activity(self, subject: Subject, ask: Ask) -> Evidence:
        """Nothing else is looked at."""
        return unknown(self.name, "there is no other sign of life", ask.asked_at)

    def recover(self, subject: Subject, ask: Ask) -> Evidence:
        """Have its open run stopped; the rounds start it again."""
        vm = Vm.objects.get(pk=int(subject.key))
        why = _hindrance(vm, subject)
        if vm.state != VmState.UP:
            why = f"the VM is {vm.state}"
        run = Run.objects.filter(vm=vm, ended_at__isnull=True).first()
        if why or run is None:
            return Evidence(Answer.NO, self.name, why or "it has no open run", ask.asked_at)
        op = requests.ask("stop", vm.pk, run.host_id, now=clock.now(), run=run, by="portal")
        text = f"operation vm-{op.pk} stops it on its host; it is started again after that"
        return Evidence(Answer.YES, self.name, text, ask.asked_at)

    def fence(self, subject: Subject, ask: Ask) -> Evidence:
        """A guest is not fenced: its host is."""
        return unknown(self.name, "a guest cannot be fenced, only its host", ask.asked_at)


def _hindrance(vm: Vm, subject: Subject) -> str:
    """Return why nothing may be done for a VM now, or the empty text."""
    if not {"tcp", "url"} & set(subject.options):
        return "it has no heartbeat: set the option tcp or url"
    if not (vm.ha and vm.wanted_up):
        return "HA is off for the VM, or it is wanted down: nobody would start it again"
    if vm.quarantined:
        return "it is quarantined: a person must choose"
    return ""


def _heartbeat(options: Mapping[str, object], deadline: float) -> tuple[Answer, str]:
    if "url" in options:
        return _answers(str(options["url"]), deadline)
    place = str(options["tcp"])
    answer = _connects(place, deadline)
    words = {
        Answer.YES: "takes connections",
        Answer.NO: "refuses connections",
        Answer.UNKNOWN: f"is silent for {deadline:g} s",
    }
    return answer, f"{place} {words[answer]}"


def _connects(place: str, deadline: float) -> Answer:
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=deadline):
            return Answer.YES
    except ConnectionRefusedError:
        return Answer.NO
    except OSError:
        return Answer.UNKNOWN


def _answers(url: str, deadline: float) -> tuple[Answer, str]:
    parts = urlsplit(url)
    place = parts.netloc if ":" in parts.netloc else f"{parts.netloc}:80"
    try:
        with closing(http.client.HTTPConnection(place, timeout=deadline)) as line:
            line.request("GET", parts.path or "/")
            status = line.getresponse().status
    except ConnectionRefusedError:
        return Answer.NO, f"{place} refuses connections"
    except (OSError, http.client.HTTPException) as error:
        return Answer.UNKNOWN, f"{place} gave no answer: {type(error).__name__}"
    return (Answer.YES if 200 <= status < 300 else Answer.NO), f"{place} answers {status}"
