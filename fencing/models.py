"""Power and failover: controllers, fences, HA state, incidents, alerts, confirmations."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import Identity
from fencing.domain.power import FenceOutcome, PowerProblem, PowerState
from fencing.domain.recovery import Recovery, RecoveryOutcome
from hosts.models import Cluster, Host, choices
from portal.core.models import OPEN_STATES, Operation
from portal.lib.db import SecretField
from portal.lib.ha.evidence import Answer
from portal.lib.ha.record import Work
from portal.lib.ha.states import HaEvent, HaState
from vms.models import Vm


class PowerController(models.Model):
    """A way to a host's power, and what it last said."""

    host = models.ForeignKey(Host, models.CASCADE, related_name="controllers")
    driver = models.CharField(max_length=20, default="ipmi")
    address = models.CharField(max_length=255)
    port = models.IntegerField(default=623)
    username = models.CharField(max_length=100)
    password = SecretField(blank=True)
    level = models.IntegerField(default=1)
    options = models.JSONField(default=dict, blank=True)
    version = models.IntegerField(default=1)

    trusted = models.BooleanField(default=True)
    distrust_reason = models.TextField(blank=True)
    identity = models.CharField(max_length=10, choices=choices(Identity), default=Identity.UNPROVEN)
    state = models.CharField(max_length=12, choices=choices(PowerState), default=PowerState.UNKNOWN)
    problem = models.CharField(max_length=20, choices=choices(PowerProblem), blank=True)
    problem_text = models.TextField(blank=True)
    asked_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    first_off_at = models.DateTimeField(null=True)
    off_reads = models.IntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            # One address may lead to several machines: outlets, or systems in one chassis.
            models.UniqueConstraint(
                "driver",
                "address",
                "port",
                Coalesce(KT("options__plug"), KT("options__system"), Value("")),
                name="one_controller_per_address",
            ),
            models.CheckConstraint(
                condition=Q(port__gte=1, port__lte=65535), name="port_between_1_and_65535"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.driver} {self.address}:{self.port}"


class HaResource(models.Model):
    """What HA is doing about a host, or about anything else that a provider knows.

    Written by ``fencing.services`` alone.  Hosts are judged by the rounds of their
    cluster, which use the first columns; what is counted, asked and due is of the
    other kinds (``portal.lib.ha.record``).
    """

    kind = models.CharField(max_length=30, default="host")
    key = models.CharField(max_length=200, blank=True)  # names it within its kind; empty: a host
    host = models.OneToOneField(Host, models.CASCADE, null=True, related_name="ha")
    vm = models.ForeignKey(Vm, models.CASCADE, null=True, related_name="guest_ha")
    cluster = models.ForeignKey(Cluster, models.CASCADE, null=True, related_name="ha_resources")
    provider = models.CharField(max_length=60, default="libvirt-kvm")
    enabled = models.BooleanField(default=True)  # a person's wish; its cluster may say otherwise
    options = models.JSONField(default=dict, blank=True)
    thresholds = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=12, choices=choices(HaState), default=HaState.AVAILABLE)
    since = models.DateTimeField()
    reason = models.TextField(blank=True)
    version = models.IntegerField(default=0)

    work = models.CharField(max_length=10, choices=choices(Work), blank=True)
    due_at = models.DateTimeField(null=True)  # while acting: when the claim counts as lost
    attempt = models.IntegerField(default=0)
    acting = models.BooleanField(default=False)
    owner = models.CharField(max_length=60, blank=True)
    epoch = models.IntegerField(default=0)
    health = models.CharField(max_length=10, choices=choices(Answer), default=Answer.UNKNOWN)
    failures = models.IntegerField(default=0)
    rounds = models.IntegerField(default=0)
    idle = models.IntegerField(default=0)
    recoveries = models.IntegerField(default=0)
    fences = models.IntegerField(default=0)
    stuck = models.BooleanField(default=False)
    declared = models.BooleanField(default=False)
    said = models.JSONField(default=dict, blank=True)  # the last answer, as it was taken

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "key"], condition=~Q(key=""), name="one_ha_resource_per_key"
            ),
            models.CheckConstraint(
                condition=Q(kind="host", host__isnull=False, key="")
                | Q(host__isnull=True, cluster__isnull=False) & ~Q(kind="host") & ~Q(key=""),
                name="ha_resource_is_a_host_or_has_key_and_cluster",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["work", "due_at"], name="ha_resources_by_due")]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"

    @property
    def name(self) -> str:
        """Return what people call it."""
        if self.host is not None:
            return self.host.name
        return self.vm.name if self.vm is not None else self.key


class HaScope(models.Model):
    """Whether HA is on for a cluster, or for everything (cluster 0), and how patient it is there.

    No row: on, and nothing overridden.  ``queues`` only for everything: kind of
    question -> [how many are asked at once by an engine, how many may wait].
    """

    cluster = models.BigIntegerField(primary_key=True)
    enabled = models.BooleanField(default=True)
    thresholds = models.JSONField(default=dict, blank=True)
    queues = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return f"HA of cluster {self.cluster}" if self.cluster else "HA of everything"


class HaTransition(models.Model):
    """One change of a resource's HA state, with what was counted then."""

    resource = models.ForeignKey(HaResource, models.CASCADE, related_name="transitions")
    at = models.DateTimeField()
    event = models.CharField(max_length=20, choices=choices(HaEvent))
    old = models.CharField(max_length=12, choices=choices(HaState))
    new = models.CharField(max_length=12, choices=choices(HaState))
    why = models.TextField(blank=True)
    actor = models.CharField(max_length=150, blank=True)
    rounds = models.IntegerField(default=0)
    recoveries = models.IntegerField(default=0)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.old} → {self.new} ({self.event})"


class Incident(models.Model):
    """From the first suspicion to the last restart."""

    host = models.ForeignKey(Host, models.CASCADE, null=True, related_name="incidents")
    vm = models.BigIntegerField(default=0)
    title = models.CharField(max_length=200)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=40, blank=True)
    summary = models.TextField(blank=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    acknowledged_text = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["host"],
                condition=Q(closed_at__isnull=True, host__isnull=False),
                name="one_open_incident_per_host",
            ),
            models.UniqueConstraint(
                fields=["vm"],
                condition=Q(closed_at__isnull=True, host__isnull=True),
                name="one_open_incident_per_vm",
            ),
        ]
        ordering = ("-pk",)

    def __str__(self) -> str:
        return self.title


class FenceOperation(Operation):
    """Work asked about a host's power or life: check, storage, recover, fence, confirm, drill..."""

    host = models.ForeignKey(Host, models.CASCADE, related_name="fences")
    incident = models.ForeignKey(Incident, models.SET_NULL, null=True, related_name="fences")
    outcome = models.CharField(max_length=20, choices=choices(FenceOutcome), blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["host", "kind"],
                condition=Q(state__in=OPEN_STATES),
                name="one_open_fence_operation_per_host_and_kind",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.host} ({self.state})"

    @classmethod
    def recoveries(cls, cluster_id: int) -> "models.QuerySet[FenceOperation]":
        """Return what was tried over SSH for a cluster's silent hosts, the oldest first."""
        silent = cls.objects.filter(host__cluster_id=cluster_id, host__status="non_responsive")
        return silent.filter(kind="recover").order_by("pk")

    @property
    def recovery(self) -> Recovery:
        """What a soft recovery has come to."""
        outcome = RecoveryOutcome(self.data["outcome"]) if "outcome" in self.data else None
        return Recovery(self.requested_at, self.attempt, self.is_open, outcome, self.ended_at)


class ClusterCapacity(models.Model):
    """What the loss of any one host would mean, as it was last worked out in the background."""

    cluster = models.OneToOneField(Cluster, models.CASCADE, related_name="capacity")
    ok = models.BooleanField(null=True)  # None: not every host could be looked at in time
    unplaced = models.JSONField(default=list)  # [{host, host_id, vms, count}], the first ones
    unplaced_hosts = models.IntegerField(default=0)
    hosts_checked = models.IntegerField(default=0)
    memory_total_mib = models.BigIntegerField(default=0)
    memory_used_mib = models.BigIntegerField(default=0)
    memory_free_mib = models.BigIntegerField(default=0)
    vcpus_total = models.BigIntegerField(default=0)
    vcpus_used = models.BigIntegerField(default=0)
    vcpus_free = models.BigIntegerField(default=0)
    checked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.cluster}: {self.unplaced_hosts} hosts must not be lost"


class Alert(models.Model):
    """Something that is wrong now; closed when its reason is gone, never deleted."""

    kind = models.CharField(max_length=30, choices=choices(AlertKind))
    host = models.BigIntegerField(default=0)
    vm = models.BigIntegerField(default=0)
    text = models.TextField()
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "host", "vm"],
                condition=Q(closed_at__isnull=True),
                name="one_open_alert_per_kind_and_subject",
            )
        ]
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class ManualConfirmation(models.Model):
    """A person's word that a host is off: who, when, why, and what the portal knew."""

    host = models.ForeignKey(Host, models.CASCADE, related_name="confirmations")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    actor = models.CharField(max_length=150)
    at = models.DateTimeField()
    typed_name = models.CharField(max_length=100)
    reason = models.TextField()
    override = models.BooleanField(default=False)
    known = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.actor} confirmed {self.host}"
