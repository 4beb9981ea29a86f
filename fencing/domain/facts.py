"""What the plan knows: frozen, whole, read once per round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from fencing.domain.policy import Policy
from fencing.domain.power import PowerProblem, PowerState
from fencing.domain.recovery import Recovery
from hosts.domain.activity import Activity
from hosts.domain.states import HostStatus, Wanted
from hosts.domain.tracks import Track
from portal.lib.ha.states import HaState
from vms.domain.affinity import Rule
from vms.domain.leases import NO_LEASES
from vms.domain.restart import VmFacts

#: Evidence older than this is UNKNOWN: neither dead nor alive.
EVIDENCE_MAX_AGE = timedelta(seconds=10)
#: Nobody has looked at the disks yet.
NO_ACTIVITY = Activity()


class Identity(StrEnum):
    """Whose BMC it is."""

    PROVEN = "proven"  # its GUID is the host's UUID
    UNPROVEN = "unproven"  # it tells none
    FOREIGN = "foreign"  # its GUID is another machine's


@dataclass(frozen=True, slots=True)
class ControllerFacts:
    """What one power controller last said; times, but ``answered_at``, are the questions'."""

    pk: int
    level: int
    trusted: bool
    identity: Identity = Identity.UNPROVEN
    state: PowerState = PowerState.UNKNOWN
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    first_off_at: datetime | None = None  # first of the unbroken series of "off"
    off_reads: int = 0
    problem: PowerProblem | None = None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host as the plan sees it."""

    pk: int
    name: str
    status: HostStatus
    wanted: Wanted
    ha: HaState
    status_since: datetime
    last_seen: datetime | None
    ha_since: datetime | None = None
    booted_at: datetime | None = None  # as it told when it last answered
    missed_at: datetime | None = None  # the last look that went unanswered
    kernel_seen: datetime | None = None  # it answered below libvirt, since the last good look
    slow_since: datetime | None = None  # a look is overdue since then
    memory_mib: int = 0
    vcpus: int = 0
    controllers: tuple[ControllerFacts, ...] = ()
    first_contact: bool = False  # its list must be compared before it is used again
    back_at: datetime | None = None  # it answered again then, after a proof
    disproved: bool = False  # it came back as if it had never been off
    fence_open: bool = False
    fence_acting: bool = False  # its power command may be on its way
    check_open: bool = False  # a BMC reading is under way
    power_on_open: bool = False
    drill_open: bool = False  # a fire drill is about to cut its power, or has
    departing: bool = False  # a person is shutting it down or rebooting it
    power_ons_last_hour: int = 0
    is_self: bool = False
    seen_by_engine: bool = True
    ineligible: str = ""  # why HA cannot protect what runs here
    cpu: str = ""  # architecture/model
    networks: frozenset[str] | None = None  # None: it does not tell
    storage: frozenset[str] | None = None
    heartbeats: tuple[Track, ...] = ()  # one for each storage domain
    activity: Activity = NO_ACTIVITY  # of its VMs' disks
    storage_open: bool = False  # a storage reading is under way
    kdump_since: datetime | None = None  # its crash kernel has reported, since last_seen
    watchdog: bool = False  # its sanlock is known to reset it
    free_open: bool = False  # its record in a lockspace is being marked free
    recovery: Recovery | None = None  # of its libvirtd over SSH, in this silence
    unasked: str = ""  # live engines that have not asked it since it last answered

    @property
    def silent(self) -> bool:
        """Whether its silence counts against the cluster (guards)."""
        return self.status in (HostStatus.NON_RESPONSIVE, HostStatus.KDUMPING)


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """A storage domain, and how many live hosts it declares that it needs."""

    pk: int
    name: str
    needs_hosts: int = 0


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Everything that one round may use."""

    pk: int
    name: str
    armed: bool
    hosts: tuple[HostFacts, ...]
    vms: tuple[VmFacts, ...]
    policies: Mapping[int, Policy]  # by host
    policy: Policy
    hosts_lost: Mapping[int, datetime]  # by host: newest proof about the whole of it, or emptied
    starts_on: Mapping[int, int]  # by host: starts under way
    engine_since: datetime
    witness_seen: bool = True  # False: this engine has lost its own network
    distrust: str = ""  # why nothing may be started or fenced at all (forgetful database)
    alerts: frozenset[tuple[str, int, int]] = frozenset()  # open: (kind, host or 0, vm or 0)
    rules: tuple[Rule, ...] = ()  # affinity

    domains: tuple[DomainFacts, ...] = ()
    observe_until: datetime | None = None  # while it is not armed: then it is again
    emptied: Mapping[int, datetime] = field(default_factory=dict)  # by host: all guests shut down

    #: Those that have or had a lease: few or none, and asked for by every rule about leases.
    leased: tuple[VmFacts, ...] = field(init=False, repr=False, compare=False)
    _by_pk: Mapping[int, HostFacts] = field(init=False, repr=False, compare=False)
    _left_on: Mapping[int, Sequence[VmFacts]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        leased = tuple(vm for vm in self.vms if vm.leases is not NO_LEASES)
        left: dict[int, list[VmFacts]] = {}
        for vm in leased:
            if vm.leases.left:
                left.setdefault(vm.leases.left_on, []).append(vm)
        object.__setattr__(self, "leased", leased)
        object.__setattr__(self, "_left_on", left)
        object.__setattr__(self, "_by_pk", {host.pk: host for host in self.hosts})

    def left_leases_on(self, host: int) -> Sequence[VmFacts]:
        """Return the VMs whose last life ended on a host and carried leases."""
        return self._left_on.get(host, ())

    def host(self, pk: int) -> HostFacts | None:
        """Return the host with ``pk``, if it is of this cluster."""
        return self._by_pk.get(pk)
