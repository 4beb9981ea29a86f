"""What anything has to offer so that HA can look after it.

A provider knows one kind of thing (hosts, what is inside a VM, a service of
somebody else) and answers five questions about it.  It decides nothing: when
to ask, what the answers mean and what is done comes from ``advancing``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from portal.lib.ha.evidence import Evidence


class Capability(StrEnum):
    """What a provider can do; ``is_eligible`` and ``is_healthy`` it must."""

    ACTIVITY = "activity"
    RECOVER = "recover"
    FENCE = "fence"


@dataclass(frozen=True, slots=True)
class Subject:
    """The resource that is asked about."""

    kind: str
    key: str
    name: str
    options: Mapping[str, object] = field(default_factory=dict)
    suspect_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: when it was sent, and how many seconds an answer may take.

    ``asked_at`` goes into the evidence unchanged.  Who has not answered by the
    deadline is left behind: the answer counts as UNKNOWN.
    """

    asked_at: datetime
    deadline: float


class HaProvider(Protocol):
    """Five questions; each may be asked twice, and each answer is evidence.

    Raising, hanging or returning anything else counts as UNKNOWN.
    """

    name: str
    kinds: tuple[str, ...]
    capabilities: frozenset[Capability]
    #: Option -> what it means; options that are not here cannot be set.
    options: Mapping[str, str]

    def is_eligible(self, subject: Subject, ask: Ask) -> Evidence:
        """Whether HA could act for it now; NO says what is missing."""

    def is_healthy(self, subject: Subject, ask: Ask) -> Evidence:
        """YES: it serves.  NO: it certainly does not.  Else UNKNOWN."""

    def has_activity(self, subject: Subject, ask: Ask) -> Evidence:
        """Whether it did anything since ``suspect_since``; NO only if it would be seen."""

    def recover(self, subject: Subject, ask: Ask) -> Evidence:
        """Repair it without power; YES: done, or certainly under way."""

    def fence(self, subject: Subject, ask: Ask) -> Evidence:
        """Make it unable to act.  YES is a proof: it was *read back*, not merely accepted."""
