"""The provider of resources that exist only here: each question is answered as was set.

For trying the framework and for its tests: the answers are options of the resource,
set through ``simulator-providers``.
"""

from collections.abc import Mapping
from threading import Event

from portal.lib.ha.evidence import Answer, Evidence
from portal.lib.ha.provider import Ask, Capability, Subject

#: What a question can be set to; ``hangs`` outlasts every deadline, but not for ever.
OUTCOMES = ("yes", "no", "unknown", "raises", "hangs", "nonsense")
QUESTIONS = ("eligible", "health", "activity", "recover", "fence")
_HANGS = 30.0


class SimulatedTrouble(Exception):
    """What a question raises that is set to ``raises``."""


class Simulator:
    """Answers as it is told."""

    name = "simulator"
    kinds: tuple[str, ...] = ("simulator",)
    capabilities = frozenset(Capability)
    options: Mapping[str, str] = {
        question: f"what the question gets: {', '.join(OUTCOMES)}" for question in QUESTIONS
    }

    def is_eligible(self, subject: Subject, ask: Ask) -> Evidence:
        """As set; eligible unless told otherwise."""
        return self._answer(subject, ask, "eligible")

    def is_healthy(self, subject: Subject, ask: Ask) -> Evidence:
        """As set."""
        return self._answer(subject, ask, "health")

    def has_activity(self, subject: Subject, ask: Ask) -> Evidence:
        """As set."""
        return self._answer(subject, ask, "activity")

    def recover(self, subject: Subject, ask: Ask) -> Evidence:
        """As set."""
        return self._answer(subject, ask, "recover")

    def fence(self, subject: Subject, ask: Ask) -> Evidence:
        """As set."""
        return self._answer(subject, ask, "fence")

    def _answer(self, subject: Subject, ask: Ask, question: str) -> Evidence:
        outcome = str(subject.options.get(question, "yes"))
        if outcome == "raises":
            raise SimulatedTrouble(f"{question} is set to raise")
        if outcome == "nonsense":
            return True  # type: ignore[return-value]  # the nonsense that a bare bool is
        if outcome == "hangs":
            Event().wait(_HANGS)
        answer = Answer(outcome) if outcome in list(Answer) else Answer.UNKNOWN
        return Evidence(answer, self.name, f"{question} is set to {outcome}", ask.asked_at)
