"""Machines: clusters, hosts, engines, and the work asked of hosts."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from hosts.domain.states import HostStatus, Wanted
from hosts.domain.tracks import Problem
from portal.core.models import OPEN_STATES, Operation
from portal.lib.db import Everything, Present

NAME_CHARS = 100
#: What is removed keeps its row for history, and holds no name or address any more.
HERE = Q(removed_at__isnull=True)


def choices(enum: Any) -> list[tuple[str, str]]:
    """Return Django choices of a domain enum."""
    return [(item.value, item.value.replace("_", " ")) for item in enum]


class ClusterMode(models.TextChoices):
    """Whether automation acts, or only says what it would do."""

    OBSERVE = "observe"
    ARMED = "armed"


class Cluster(models.Model):
    """Hosts that share policy and storage."""

    name = models.CharField(max_length=NAME_CHARS)
    mode = models.CharField(max_length=10, choices=ClusterMode.choices, default=ClusterMode.OBSERVE)
    observe_until = models.DateTimeField(null=True)  # then it is armed again by itself
    policy = models.JSONField(default=dict, blank=True)
    version = models.IntegerField(default=1)
    removed_at = models.DateTimeField(null=True)

    objects = Present()
    everything = Everything()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), condition=HERE, name="one_cluster_per_name")
        ]

    def __str__(self) -> str:
        return self.name


class Host(models.Model):
    """A hypervisor: what is observed of it, what is wanted of it, what was last asked."""

    name = models.CharField(max_length=NAME_CHARS)
    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="hosts")
    uri = models.CharField(max_length=255)
    policy = models.JSONField(default=dict, blank=True)
    version = models.IntegerField(default=1)

    status = models.CharField(
        max_length=30, choices=choices(HostStatus), default=HostStatus.PENDING
    )
    status_reason = models.TextField(blank=True)
    status_since = models.DateTimeField()
    wanted = models.CharField(max_length=12, choices=choices(Wanted), default=Wanted.ACTIVE)

    host_uuid = models.CharField(max_length=36, blank=True)
    hostname = models.CharField(max_length=255, blank=True)
    memory_mib = models.IntegerField(default=0)
    vcpus = models.IntegerField(default=0)
    cpu_arch = models.CharField(max_length=30, blank=True)
    cpu_model = models.CharField(max_length=100, blank=True)
    networks = models.JSONField(null=True)  # active ones; null: it does not tell
    storage = models.JSONField(null=True)  # active pools
    boot_marker = models.CharField(max_length=60, blank=True)
    uptime_s = models.FloatField(null=True)
    ineligible = models.TextField(blank=True)
    is_self = models.BooleanField(default=False)
    watchdog = models.BooleanField(default=False)  # its sanlock resets it: somebody vouches

    last_seen = models.DateTimeField(null=True)  # when the last good look was *asked*
    missed = models.IntegerField(default=0)
    missed_since = models.DateTimeField(null=True)
    slow_since = models.DateTimeField(null=True)
    missed_at = models.DateTimeField(null=True)  # the last look that went unanswered
    kernel_seen = models.DateTimeField(null=True)  # below libvirt, since the last good look
    first_contact = models.BooleanField(default=False)
    lost_at = models.DateTimeField(null=True)  # when it was last proven off, dead or rebooted
    back_at = models.DateTimeField(null=True)  # first answer after the last proof about it
    marker_at_proof = models.CharField(max_length=60, blank=True)
    disproved = models.BooleanField(default=False)  # came back as if it had never been off
    kdump_since = models.DateTimeField(null=True)  # its crash kernel has reported, since last_seen

    others = models.JSONField(default=list)  # guests that the portal does not look after

    look_due_at = models.DateTimeField(db_index=True)
    owner = models.CharField(max_length=60, blank=True)  # the engine that looks; blank: anyone
    missed_by = models.JSONField(default=dict)  # engine: when it asked in vain
    look_version = models.IntegerField(default=0)
    removed_at = models.DateTimeField(null=True)

    objects = Present()
    everything = Everything()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), condition=HERE, name="one_host_per_name"),
            models.UniqueConstraint(fields=["uri"], condition=HERE, name="one_host_per_uri"),
            models.UniqueConstraint(
                fields=["host_uuid"],
                condition=HERE & ~Q(host_uuid=""),
                name="one_host_per_uuid",
            ),
            models.CheckConstraint(condition=Q(memory_mib__gte=0), name="host_memory_not_negative"),
            models.CheckConstraint(condition=Q(vcpus__gte=0), name="host_vcpus_not_negative"),
        ]
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class StorageDomain(models.Model):
    """Storage that hosts of a cluster share, with sanlock's heartbeats in its ``ids`` volume."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="domains")
    name = models.CharField(max_length=48)  # as sanlock names the lockspace
    path = models.CharField(max_length=255, blank=True)  # of its volumes, the same on every host
    needs_hosts = models.IntegerField(default=0)  # live hosts without which it stops serving
    lease_slots = models.IntegerField(default=0)  # of its volume ``leases``; 0: it has none

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "name"], name="one_domain_per_name")
        ]

    def __str__(self) -> str:
        return self.name


class HostStorage(models.Model):
    """A host's heartbeat in a storage domain: its slot, and what the samples have shown.

    All but ``slot`` are the fields of ``hosts.domain.heartbeat.Track``.
    """

    host = models.ForeignKey(Host, models.CASCADE, related_name="places")
    domain = models.ForeignKey(StorageDomain, models.CASCADE, related_name="hosts")
    slot = models.IntegerField()  # sanlock's host id - 1

    owner = models.CharField(max_length=48, blank=True)
    generation = models.BigIntegerField(default=0)
    learned_at = models.DateTimeField(null=True)
    reader = models.BigIntegerField(default=0)
    tried = models.JSONField(default=list)
    exhausted = models.BooleanField(default=False)
    problem = models.CharField(max_length=100, choices=choices(Problem), blank=True)
    asked_at = models.DateTimeField(null=True)
    timestamp = models.BigIntegerField(default=0)
    renewal_s = models.FloatField(default=20)
    still_since = models.DateTimeField(null=True)
    before_at = models.DateTimeField(null=True)
    reader_timestamp = models.BigIntegerField(default=0)
    reader_moved_at = models.DateTimeField(null=True)
    freed = models.BigIntegerField(default=0)
    free_tries = models.IntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["host", "domain"], name="one_heartbeat_per_domain"),
            models.UniqueConstraint(fields=["domain", "slot"], name="one_host_per_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.host} in {self.domain}"


class DiskActivity(models.Model):
    """Whether the VMs of a silent host still write: ``hosts.domain.activity.Activity`` as a row."""

    host = models.OneToOneField(Host, models.CASCADE, related_name="activity")
    asked_at = models.DateTimeField(null=True)
    written_at = models.JSONField(default=dict)
    samples = models.JSONField(default=list)
    failed = models.BooleanField(default=False)
    reader = models.IntegerField(default=0)  # the id of a host; 0: none yet
    tried = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"disks of {self.host}"


class HostOperation(Operation):
    """Work asked of a host's hypervisor or of its settings."""

    host = models.ForeignKey(Host, models.CASCADE, related_name="operations")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["host", "kind"],
                condition=Q(state__in=OPEN_STATES),
                name="one_open_operation_per_host_and_kind",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.host} ({self.state})"


class Engine(models.Model):
    """One portal node.  Its epoch rises at each start and return; claims of an older one are void.

    ``life`` is the epoch of its start, which its processes know it by.
    """

    name = models.CharField(max_length=60, unique=True)
    epoch = models.IntegerField(default=0)
    life = models.IntegerField(default=0)
    buried = models.BooleanField(default=False)  # others have taken its work over
    deaf_since = models.DateTimeField(null=True)  # a host answered another engine and not it
    hears_since = models.DateTimeField(null=True)  # its network had been away until then
    tried_at = models.DateTimeField(null=True)  # when it last asked whether it hears again
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} (epoch {self.epoch})"


class EngineLease(models.Model):
    """A named right that one process holds for a short time, by the database's clock."""

    name = models.CharField(max_length=60, primary_key=True)
    holder = models.CharField(max_length=120)
    epoch = models.IntegerField(default=0)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"
