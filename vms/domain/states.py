"""Words for the lives of VMs: states, runs, and the ways a run can end."""

from enum import StrEnum


class VmState(StrEnum):
    """What is known of a VM as a whole."""

    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    PAUSED = "paused"  # stopped by the hypervisor, usually on a storage error
    SUSPENDED = "suspended"  # frozen by a person or by the portal
    STOPPING = "stopping"
    MIGRATING = "migrating"
    UNKNOWN = "unknown"  # its run is open, its host gives no answer
    QUARANTINED = "quarantined"  # two copies were seen: a person must choose


class RunState(StrEnum):
    """State of one life of one copy on one host."""

    STARTING = "starting"
    RUNNING = "running"


class ProofKind(StrEnum):
    """Why a run is certainly over (docs/decisions.md, "Proofs")."""

    OBSERVED_OFF = "observed_off"
    POWER_OFF = "power_off"
    REBOOTED = "rebooted"
    KDUMP = "kdump"
    LEASE = "lease"
    MANUAL = "manual"
    NEVER_STARTED = "never_started"
    DESTROYED_BY_US = "destroyed_by_us"
    MIGRATED = "migrated"  # its host says that it is gone from there, another one goes on with it


class ResumeBehaviour(StrEnum):
    """What becomes of a VM whose storage has stopped it."""

    AUTO_RESUME = "auto_resume"  # it goes on when its storage is back
    LEAVE_PAUSED = "leave_paused"  # a person decides
    KILL = "kill"  # after a while it is ended there, and HA starts it elsewhere


class EndReason(StrEnum):
    """How the guest ended, as far as anybody can tell; decides whether it restarts."""

    NONE = "none"
    GUEST_SHUTDOWN = "guest_shutdown"  # on purpose, from inside
    ADMIN_STOP = "admin_stop"  # on purpose, through the portal
    DESTROYED = "destroyed"  # by somebody else, on the host
    CRASHED = "crashed"
    HOST_LOST = "host_lost"
    HOST_SHUTDOWN = "host_shutdown"  # on purpose, because its host shall go off
    NOT_STARTED = "not_started"
    LOCK_LOST = "lock_lost"  # by sanlock, as its host had lost the lockspace of its lease
    KILLED = "killed"  # by the portal, as its storage had stopped it for too long


#: Proofs that speak about the whole host.
HOST_PROOFS = frozenset(
    {ProofKind.POWER_OFF, ProofKind.REBOOTED, ProofKind.MANUAL, ProofKind.KDUMP}
)
