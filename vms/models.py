"""Guests: VMs, their runs, the proofs that ended them, and the work asked of them."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from hosts.models import HERE, Cluster, Host, StorageDomain, choices
from portal.core.models import OPEN_STATES, Operation
from portal.lib.db import Everything, Present
from vms.domain.affinity import RuleKind
from vms.domain.leases import LeaseState
from vms.domain.states import EndReason, ProofKind, ResumeBehaviour, RunState, VmState


class Vm(models.Model):
    """A virtual machine and what is wanted of it; the portal keeps its XML.

    A UUID has one row for ever: a VM that was removed and is entered again goes
    on with its next generation, so that no old copy passes for the new one.
    """

    name = models.CharField(max_length=100)
    uuid = models.CharField(max_length=36, unique=True)
    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="vms")
    memory_mib = models.IntegerField()
    vcpus = models.IntegerField()
    xml = models.TextField(blank=True)
    version = models.IntegerField(default=1)

    ha = models.BooleanField(default=False)
    wanted_up = models.BooleanField(default=False)
    priority = models.IntegerField(default=50)
    start_tier = models.IntegerField(default=2)
    starts_after = models.JSONField(default=list, blank=True)  # ids of VMs of its cluster
    start_delay_s = models.IntegerField(default=0)  # after those are up
    failback = models.BooleanField(default=False)  # whether it shall go home to a better host

    cpu = models.CharField(max_length=100, blank=True)  # architecture/model, from its XML
    networks = models.JSONField(default=list)
    storage = models.JSONField(default=list)  # pools

    state = models.CharField(max_length=12, choices=choices(VmState), default=VmState.DOWN)
    state_reason = models.TextField(blank=True)
    state_since = models.DateTimeField()
    quarantined = models.BooleanField(default=False)
    suspended = models.BooleanField(default=False)  # its copy was last seen frozen by a person
    disks_illegal = models.TextField(blank=True)  # why its disks must not be used
    resume_behaviour = models.CharField(
        max_length=12, choices=choices(ResumeBehaviour), default=ResumeBehaviour.AUTO_RESUME
    )
    io_error_since = models.DateTimeField(null=True)  # the first look that showed it stopped so
    generation = models.IntegerField(default=0)  # highest ever given out: the fencing token

    restart_tries = models.IntegerField(default=0)
    refused_at = models.DateTimeField(null=True)
    refused_by = models.ForeignKey(Host, models.SET_NULL, null=True, related_name="+")
    waiting_since = models.DateTimeField(null=True)
    waiting_for = models.TextField(blank=True)

    waits_for = models.ForeignKey(Host, models.SET_NULL, null=True, related_name="+")
    #: Its newest run that has executed, or may have, and is over.
    last_life = models.ForeignKey("Run", models.SET_NULL, null=True, related_name="+")
    lease_held_at = models.DateTimeField(null=True)  # a start was refused: another host holds it

    moved_from = models.ForeignKey(Host, models.SET_NULL, null=True, related_name="+")
    move_failed_at = models.DateTimeField(null=True)
    move_failed_to = models.ForeignKey(Host, models.SET_NULL, null=True, related_name="+")

    removed_at = models.DateTimeField(null=True)
    seen_again_on = models.ForeignKey(Host, models.SET_NULL, null=True, related_name="+")

    objects = Present()
    everything = Everything()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                "cluster", Lower("name"), condition=HERE, name="one_vm_name_per_cluster"
            ),
            models.CheckConstraint(
                condition=HERE | Q(wanted_up=False), name="a_removed_vm_is_not_wanted_up"
            ),
            models.CheckConstraint(condition=Q(memory_mib__gt=0), name="vm_memory_positive"),
            models.CheckConstraint(condition=Q(vcpus__gt=0), name="vm_vcpus_positive"),
        ]
        indexes: ClassVar = [models.Index(fields=["name"], name="vms_by_name")]
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class VmLock(models.Model):
    """Somebody works on a VM and it must not be started; over at ``until``, if there is one."""

    vm = models.OneToOneField(Vm, models.CASCADE, related_name="lock")
    by = models.CharField(max_length=150)
    why = models.CharField(max_length=200)
    at = models.DateTimeField()
    until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"locked by {self.by}: {self.why}"


class Disk(models.Model):
    """A disk of a VM: a writable path belongs to one VM unless it is shareable."""

    vm = models.ForeignKey(Vm, models.CASCADE, related_name="disks")
    path = models.CharField(max_length=500)
    writable = models.BooleanField(default=True)
    shareable = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["path"],
                condition=Q(writable=True, shareable=False),
                name="one_writer_per_disk_path",
            ),
            models.UniqueConstraint(fields=["vm", "path"], name="one_disk_per_vm_and_path"),
        ]

    def __str__(self) -> str:
        return self.path


class Lease(models.Model):
    """A VM's slot in the lease volume of a storage domain; its key there is the VM's UUID.

    The row stays for as long as a copy may hold the slot: no other VM is given it meanwhile.
    """

    vm = models.ForeignKey(Vm, models.CASCADE, related_name="leases")
    domain = models.ForeignKey(StorageDomain, models.PROTECT, related_name="leases")
    slot = models.IntegerField()  # its offset is so many MiB
    state = models.CharField(max_length=8, choices=choices(LeaseState), default=LeaseState.READY)
    sent = models.BooleanField(default=False)  # a write of its record went unanswered, so far

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["domain", "slot"], name="one_lease_per_slot"),
            models.UniqueConstraint(fields=["vm", "domain"], name="one_lease_per_vm_and_domain"),
        ]

    def __str__(self) -> str:
        return f"{self.vm} in {self.domain}"


class AffinityRule(models.Model):
    """Which VMs of a cluster belong together, apart, or on certain hosts."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="affinity_rules")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=choices(RuleKind))
    hard = models.BooleanField(default=True)
    vms = models.ManyToManyField(Vm, related_name="affinity_rules")
    version = models.IntegerField(default=1)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                "cluster", Lower("name"), name="one_affinity_rule_name_per_cluster"
            )
        ]

    def __str__(self) -> str:
        return self.name


class RuleHost(models.Model):
    """A host of an affinity rule; the higher its priority, the better."""

    rule = models.ForeignKey(AffinityRule, models.CASCADE, related_name="hosts")
    host = models.ForeignKey(Host, models.CASCADE, related_name="+")
    priority = models.IntegerField(default=1)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["rule", "host"], name="one_priority_per_rule_and_host")
        ]

    def __str__(self) -> str:
        return f"{self.host}: {self.priority}"


class Proof(models.Model):
    """Why a run is certainly over, with its evidence verbatim."""

    kind = models.CharField(max_length=20, choices=choices(ProofKind))
    reason = models.CharField(max_length=20, choices=choices(EndReason), default=EndReason.NONE)
    at = models.DateTimeField()  # when the question that proves it was asked
    recorded_at = models.DateTimeField()
    host = models.ForeignKey(Host, models.PROTECT, related_name="proofs")
    text = models.TextField()
    evidence = models.JSONField(default=dict)
    actor = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return f"{self.kind} on {self.host}: {self.text}"


class Run(models.Model):
    """One life of one copy of a VM on one host.  It ends only with a proof.

    The constraints are the product's promise: the database itself refuses a
    second open run of a VM, and an end without a proof.
    """

    vm = models.ForeignKey(Vm, models.PROTECT, related_name="runs")
    host = models.ForeignKey(Host, models.PROTECT, related_name="runs")
    generation = models.IntegerField()
    state = models.CharField(max_length=10, choices=choices(RunState), default=RunState.STARTING)
    started_at = models.DateTimeField()
    running_at = models.DateTimeField(null=True)
    outstanding = models.BooleanField(default=False)
    adopting = models.BooleanField(default=False)  # its copy does not carry its stamp yet
    asked_down = models.BooleanField(default=False)  # by the portal, as its host shall go off
    migrating_to = models.ForeignKey(Host, models.PROTECT, null=True, related_name="+")
    migrating_since = models.DateTimeField(null=True)
    contender = models.ForeignKey(Host, models.PROTECT, null=True, related_name="+")
    uncached = models.BooleanField(default=False)  # no write stays in its host's memory
    ended_at = models.DateTimeField(null=True)
    proof = models.OneToOneField(Proof, models.PROTECT, null=True, related_name="run")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["vm"], condition=Q(ended_at__isnull=True), name="one_open_run_per_vm"
            ),
            models.UniqueConstraint(fields=["vm", "generation"], name="one_run_per_generation"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, proof__isnull=True)
                | Q(ended_at__isnull=False, proof__isnull=False),
                name="an_ended_run_has_a_proof",
            ),
            models.CheckConstraint(condition=Q(generation__gte=1), name="generations_start_at_1"),
            models.CheckConstraint(
                condition=Q(migrating_to__isnull=True, migrating_since__isnull=True)
                | Q(migrating_to__isnull=False, migrating_since__isnull=False),
                name="a_migration_has_a_target_and_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[RunState.STARTING, RunState.RUNNING]),
                name="a_run_is_starting_or_running",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
                name="a_run_ends_after_it_began",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vm} generation {self.generation} on {self.host}"


class RunLease(models.Model):
    """A lease in the definition with which a run's copy was started.

    ``guarded_at``: when its slot was last read as held by the run's host in its present
    life; null as soon as it was read otherwise.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="leases")
    domain = models.ForeignKey(StorageDomain, models.PROTECT, related_name="+")
    slot = models.IntegerField()
    guarded_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)  # when its slot was last read, and what it said
    holder = models.IntegerField(default=0)  # a host's id in the lockspace; 0: nobody
    holder_generation = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "domain"], name="one_lease_per_run_and_domain")
        ]

    def __str__(self) -> str:
        return f"{self.run}: slot {self.slot} of {self.domain}"


class VmOperation(Operation):
    """Work asked of a VM's copy on a host."""

    vm = models.ForeignKey(Vm, models.CASCADE, related_name="operations")
    host = models.ForeignKey(Host, models.PROTECT, related_name="+")
    run = models.ForeignKey(Run, models.PROTECT, null=True, related_name="operations")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["vm", "kind", "host"],
                condition=Q(state__in=OPEN_STATES),
                name="one_open_operation_per_vm_kind_and_host",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.vm} on {self.host} ({self.state})"
