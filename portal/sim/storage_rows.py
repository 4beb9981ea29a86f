"""What the pure depth keeps of shared storage, beside the rows of its ledger."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fencing.domain.evidence import is_fresh
from fencing.domain.facts import NO_ACTIVITY, DomainFacts
from hosts.domain.activity import Activity
from hosts.domain.tracks import Track
from vms.domain.leases import LeaseState

#: Every domain of a simulated world has a lease volume with so many slots.
LEASE_SLOTS = 40


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A VM's slot in a domain (``vms.models.Lease``)."""

    slot: int
    state: LeaseState = LeaseState.READY
    sent: bool = False


@dataclass
class StorageRows:
    """Heartbeats and disks by host, and when a witness last answered."""

    heartbeats: dict[int, tuple[Track, ...]] = field(default_factory=dict)
    slots: dict[tuple[int, int], int] = field(default_factory=dict)  # (host, domain): slot
    activity: dict[int, Activity] = field(default_factory=dict)
    domains: tuple[DomainFacts, ...] = ()
    guarded: dict[tuple[int, int], datetime | None] = field(default_factory=dict)  # (VM, domain)
    witness_seen: dict[str, datetime] = field(default_factory=dict)  # by engine
    leases: dict[tuple[int, int], LeaseRow] = field(default_factory=dict)  # (VM, domain)

    def of(self, host: int) -> tuple[tuple[Track, ...], Activity]:
        """Return what storage tells of a host."""
        return self.heartbeats.get(host, ()), self.activity.get(host, NO_ACTIVITY)

    def of_cluster(self, witness: tuple[str, ...], engine: str, now: datetime) -> dict[str, Any]:
        """Return the fields of the cluster's facts, as ``engine`` knows them."""
        seen = not witness or is_fresh(self.witness_seen.get(engine), now)
        return {"domains": self.domains, "witness_seen": seen}
