"""VMs, runs and proofs as JSON; what is observed is read-only."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from hosts.domain.looks import Stamp
from hosts.hypervisor.domain_xml import BadXml, asked_by, disks_of, stamped
from hosts.models import Cluster
from hosts.permissions import clusters_in
from portal.core.models import Role
from portal.core.names import plain
from portal.core.permissions import scopes_of
from portal.core.related import Seen
from portal.core.rest import Strict
from portal.lib import clock, ids
from vms.models import Disk, Proof, Run, Vm
from vms.permissions import vms_in
from vms.selectors import among, disk_in_use, lock_of, name_in_use, way_back
from vms.selectors.leases import shown
from vms.serializers.leases import ShownLeaseSerializer
from vms.serializers.locks import VmLockSerializer

_ANY = Stamp(installation="", vm=0, generation=0, run=0)


class DiskSerializer(serializers.ModelSerializer[Disk]):
    """A disk of a VM."""

    class Meta:
        model = Disk
        fields = ("path", "writable", "shareable")


class OpenRunSerializer(serializers.ModelSerializer[Run]):
    """Where a VM runs now, for the lists of VMs."""

    host_name = serializers.CharField(source="host.name", read_only=True)

    class Meta:
        model = Run
        fields = ("id", "host", "host_name", "generation", "state", "started_at")


@extend_schema_field(
    {"type": "array", "maxItems": 20, "items": {"oneOf": [{"type": "integer"}, {"type": "string"}]}}
)
class FirstField(serializers.ListField):
    """VMs of the same cluster, by id or by name; shown by id."""

    child = serializers.JSONField()


def _open_run(vm: Vm) -> Run | None:
    """Return the open run of a VM, loaded as ``open_runs`` where a view has many."""
    rows = getattr(vm, "open_runs", None)
    if rows is None:
        rows = vm.runs.filter(ended_at__isnull=True).select_related("host")
    return next(iter(rows), None)


class VmSerializer(Strict, serializers.ModelSerializer[Vm]):
    """A VM: what it needs, what is wanted of it, where it runs."""

    cluster = Seen(queryset=Cluster.objects.all(), rows=clusters_in)
    uuid = serializers.UUIDField(required=False)
    run = serializers.SerializerMethodField()
    lock = serializers.SerializerMethodField()
    disks = DiskSerializer(many=True, read_only=True)
    leases = serializers.SerializerMethodField()
    memory_mib = serializers.IntegerField(min_value=1, max_value=16_777_216)  # 16 TiB
    vcpus = serializers.IntegerField(min_value=1, max_value=4096)
    priority = serializers.IntegerField(min_value=0, max_value=100, required=False)
    start_tier = serializers.IntegerField(min_value=0, max_value=9, required=False)
    starts_after = FirstField(required=False, max_length=20)
    start_delay_s = serializers.IntegerField(min_value=0, max_value=3600, required=False)
    disks_illegal = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        help_text="Why its disks must not be used: it is started by nobody. Empty: they may be.",
    )
    networks = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="Those that its XML names."
    )
    storage = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="Pools that its XML names."
    )

    class Meta:
        model = Vm
        fields: ClassVar[Any] = (
            "id",
            "name",
            "uuid",
            "cluster",
            "memory_mib",
            "vcpus",
            "xml",
            "ha",
            "priority",
            "start_tier",
            "starts_after",
            "start_delay_s",
            "failback",
            "resume_behaviour",
            "disks_illegal",
            "cpu",
            "networks",
            "storage",
            "wanted_up",
            "state",
            "state_reason",
            "state_since",
            "quarantined",
            "suspended",
            "io_error_since",
            "lock",
            "generation",
            "run",
            "waiting_since",
            "waiting_for",
            "restart_tries",
            "disks",
            "leases",
            "version",
        )
        read_only_fields: ClassVar[Any] = (
            "cpu",
            "networks",
            "storage",
            "wanted_up",
            "state",
            "state_reason",
            "state_since",
            "quarantined",
            "suspended",
            "io_error_since",
            "generation",
            "waiting_since",
            "waiting_for",
            "restart_tries",
            "version",
        )
        extra_kwargs: ClassVar[Any] = {"xml": {"write_only": True}, "name": {"validators": [plain]}}

    @extend_schema_field(OpenRunSerializer(allow_null=True))
    def get_run(self, vm: Vm) -> dict[str, Any] | None:
        """Return the open run (loaded by the view as ``open_runs``)."""
        run = _open_run(vm)
        return dict(OpenRunSerializer(run).data) if run else None

    @extend_schema_field(ShownLeaseSerializer(many=True))
    def get_leases(self, vm: Vm) -> list[Any]:
        """Return its leases (loaded by the view)."""
        if not vm.leases.all():
            return []
        now = self.context.get("now", clock.now)()
        return list(ShownLeaseSerializer(shown(vm, _open_run(vm), now), many=True).data)

    @extend_schema_field(VmLockSerializer(allow_null=True))
    def get_lock(self, vm: Vm) -> dict[str, Any] | None:
        """Return the lock in force (loaded by the view)."""
        lock = lock_of(vm, clock.now)
        return dict(VmLockSerializer(lock).data) if lock else None

    def validate_uuid(self, value: Any) -> str:
        """Refuse a UUID that another VM has."""
        if Vm.objects.filter(uuid=str(value)).exists():
            text = "another VM has this UUID: leave it out for a new one"
            raise serializers.ValidationError(text)
        back = Vm.everything.filter(uuid=str(value), seen_again_on__isnull=False)
        for vm in back.select_related("seen_again_on"):
            text = f"{vm.name} was removed and runs on {vm.seen_again_on}: adopt it from there"
            raise serializers.ValidationError(text)
        return str(value)

    def validate_cluster(self, value: Cluster) -> Cluster:
        """Keep a VM in its cluster for life: its runs and disks are there."""
        if isinstance(self.instance, Vm) and self.instance.cluster_id != value.pk:
            raise serializers.ValidationError("a VM stays in its cluster: add it there anew")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse XML that is not of this VM: what is started must be what was asked."""
        row = self.instance if isinstance(self.instance, Vm) else None
        if row is None:
            self._name_is_free(attrs)
            attrs.setdefault("uuid", ids.source().uuid())
        elif "uuid" in attrs:
            raise serializers.ValidationError({"uuid": "a VM keeps its UUID: leave it out"})
        if attrs.get("starts_after"):
            attrs["starts_after"] = self._first(attrs, row)
        if attrs.get("xml"):
            uuid = row.uuid if row else attrs["uuid"]
            name = attrs.get("name") or (row.name if row else "")
            try:
                stamped(attrs["xml"], uuid=uuid, name=name, stamp=_ANY)
                attrs["disks"] = disks_of(attrs["xml"])
                asked = asked_by(attrs["xml"])
            except BadXml as error:
                raise serializers.ValidationError({"xml": str(error)}) from None
            attrs["cpu"] = asked.cpu
            attrs["networks"], attrs["storage"] = list(asked.networks), list(asked.storage)
            self._disks_are_free(attrs["disks"], row)
        return attrs

    def _first(self, attrs: dict[str, Any], row: Vm | None) -> list[int]:
        """Return the ids of those to start after: of this cluster, seen by the caller."""
        cluster = row.cluster if row else attrs["cluster"]
        request = self.context["request"]
        seen = vms_in(scopes_of(request.user, Role.VIEWER, request.auth))
        names = dict(Vm.objects.filter(seen, cluster=cluster).values_list("pk", "name"))
        found, unknown = among(names, attrs["starts_after"])
        text = ""
        if unknown:
            cure = "name its VMs, or their ids"
            text = f"cluster {cluster.name} has no VM {unknown[0]!r:.100}: {cure}"
        elif row is not None and (way := way_back(row, found)):
            told = " after ".join(names.get(pk, "another VM") for pk in [*way, row.pk])
            text = f"leads in a circle: {told}; take one of them out"
        if text:
            raise serializers.ValidationError({"starts_after": text})
        return found

    @staticmethod
    def _disks_are_free(disks: dict[str, bool], row: Vm | None) -> None:
        text = disk_in_use(disks, row)
        if text:
            cure = "give it a disk of its own, or mark it <shareable/> in both"
            raise serializers.ValidationError({"xml": f"{text}: {cure}"})

    @staticmethod
    def _name_is_free(attrs: dict[str, Any]) -> None:
        text = name_in_use(attrs["name"], attrs["cluster"])
        if text:
            raise serializers.ValidationError({"name": f"{text}: choose another name"})


class VmEditSerializer(VmSerializer):
    """What may be changed of a VM while it lives."""

    memory_mib = serializers.IntegerField(read_only=True)
    vcpus = serializers.IntegerField(read_only=True)

    class Meta(VmSerializer.Meta):
        read_only_fields = (*VmSerializer.Meta.read_only_fields, "name")


class ProofSerializer(serializers.ModelSerializer[Proof]):
    """Why a run is certainly over."""

    host_name = serializers.CharField(source="host.name", read_only=True)
    run = serializers.IntegerField(source="run.pk", read_only=True)
    vm = serializers.IntegerField(source="run.vm_id", read_only=True)

    class Meta:
        model = Proof
        fields = (
            "id",
            "kind",
            "reason",
            "at",
            "recorded_at",
            "host",
            "host_name",
            "run",
            "vm",
            "text",
            "evidence",
            "actor",
        )


class RunSerializer(serializers.ModelSerializer[Run]):
    """One life of one copy of a VM on one host."""

    vm_name = serializers.CharField(source="vm.name", read_only=True)
    host_name = serializers.CharField(source="host.name", read_only=True)

    class Meta:
        model = Run
        fields = (
            "id",
            "vm",
            "vm_name",
            "host",
            "host_name",
            "generation",
            "state",
            "started_at",
            "running_at",
            "ended_at",
            "outstanding",
            "migrating_to",
            "contender",
            "proof",
        )
