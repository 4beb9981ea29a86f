"""The words of notifications that tables and rules share: standard library only."""

from enum import StrEnum


class Channel(StrEnum):
    """How a notification travels."""

    EMAIL = "email"
    WEBHOOK = "webhook"


class Told(StrEnum):
    """What a target is told; each includes the one before."""

    NEEDS_PERSON = "needs_person"  # alerts that wait for somebody
    FENCES = "fences"  # and every fence and proof, and what became of the VMs
    EVERYTHING = "everything"  # and every other event
