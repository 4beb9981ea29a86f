"""The log of a simulation: domain events only, the same words in both depths."""

from collections.abc import Mapping
from dataclasses import dataclass

#: Bookkeeping for people; it decides nothing and stays out of the log.
_NOT_DOMAIN = ("incident.", "bmc.changed", "user.", "cluster.")


@dataclass(frozen=True, slots=True)
class Happened:
    """One domain event; ``detail`` is its rule, proof, reading or step."""

    ms: int
    kind: str
    host: str = ""
    vm: str = ""
    detail: str = ""

    def __str__(self) -> str:
        who = " on ".join(name for name in (self.vm, self.host) if name)
        return f"{self.ms / 1000:8.1f}  {who or 'cluster'}: {self.kind} {self.detail}".rstrip()


def is_domain(kind: str) -> bool:
    """Whether events of this kind belong into the log."""
    return not kind.startswith(_NOT_DOMAIN)


def detail_of(kind: str, rule: str, text: str, evidence: Mapping[str, object]) -> str:
    """Return what a stored event's log line ends with."""
    if kind.startswith(("bmc.", "storage.", "recovery.tried")):
        return str(evidence.get("state") or evidence.get("problem") or "")
    if kind.startswith("fence."):
        return text.partition(": ")[2]
    return rule
