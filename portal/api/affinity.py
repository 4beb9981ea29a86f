"""Affinity rules over REST: which VMs belong together, apart, or on certain hosts."""

from typing import Any, ClassVar

from django.db.models import Q
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers

from hosts.models import Cluster, Host
from portal.core.filtering import GREATEST, Filters
from portal.core.models import Role
from portal.core.names import plain
from portal.core.problems import Problem
from portal.core.rest import Creatable, Editable, Strict, caller, require
from portal.lib import clock
from vms.domain.affinity import RuleKind
from vms.models import AffinityRule, Vm
from vms.permissions import rules_in
from vms.services import affinity
from vms.services.affinity import Contradicts

#: So many VMs or hosts may be in one rule.
MOST = 1000


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string"}]})
class Member(serializers.Field[Any, Any, Any, Any]):
    """A VM of the rule's cluster: its id, or its name."""

    def to_internal_value(self, data: Any) -> int | str:
        """Tell ids from names; whether there is such a VM is asked with the cluster."""
        if isinstance(data, bool) or not isinstance(data, int | str) or data == "":
            raise serializers.ValidationError("write the id or the name of a VM")
        return data

    def to_representation(self, value: Vm) -> int:
        """Return the VM's id."""
        return value.pk


class RuleSerializer(Strict, serializers.ModelSerializer[AffinityRule]):
    """An affinity rule; ``hosts`` are priorities by host id, for the kind ``hosts`` only."""

    kind = serializers.ChoiceField(
        choices=[kind.value for kind in RuleKind],
        help_text="separate: no two on one host; together: all on one; hosts: on these hosts.",
    )
    vms = serializers.ListField(
        child=Member(), max_length=MOST, help_text="Ids or names of VMs of the cluster."
    )
    hosts = serializers.DictField(
        child=serializers.IntegerField(min_value=0, max_value=1000),
        required=False,
        help_text="Host id: priority; only the best hosts with room are used.",
    )

    class Meta:
        model = AffinityRule
        fields = ("id", "cluster", "name", "kind", "hard", "vms", "hosts", "version")
        read_only_fields = ("version",)
        extra_kwargs: ClassVar[Any] = {"name": {"validators": [plain]}}
        validators: ClassVar[Any] = []  # see validate(), which says what to do

    def to_representation(self, instance: AffinityRule) -> dict[str, Any]:
        """Return the members as they were loaded."""
        there = [vm.pk for vm in instance.vms.all() if vm.removed_at is None]
        return {
            "id": instance.pk,
            "cluster": instance.cluster_id,
            "name": instance.name,
            "kind": instance.kind,
            "hard": instance.hard,
            "vms": sorted(there),
            "hosts": {str(item.host_id): item.priority for item in instance.hosts.all()},
            "version": instance.version,
        }

    def validate_cluster(self, value: Cluster) -> Cluster:
        """Keep a rule in its cluster: its VMs are there."""
        if isinstance(self.instance, AffinityRule) and self.instance.cluster_id != value.pk:
            raise serializers.ValidationError("a rule stays in its cluster: add it there anew")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Find the members in the rule's cluster, and refuse a name that is taken."""
        row = self.instance if isinstance(self.instance, AffinityRule) else None
        cluster = row.cluster if row else attrs["cluster"]
        others = AffinityRule.objects.filter(cluster=cluster).exclude(
            pk=row.pk if row and row.pk else 0
        )
        if "name" in attrs and others.filter(name__iexact=attrs["name"]).exists():
            text = "another rule of this cluster is named so: choose another name"
            raise serializers.ValidationError({"name": text})
        if "vms" in attrs:
            attrs["vms"] = _found_vms(cluster, attrs["vms"])
        if "hosts" in attrs:
            attrs["hosts"] = _found_hosts(cluster, attrs["hosts"])
        return attrs


def _found_vms(cluster: Cluster, told: list[int | str]) -> list[int]:
    ids = [one for one in told if isinstance(one, int) and 0 < one <= GREATEST]
    names = [one for one in told if isinstance(one, str)]
    rows = Vm.objects.filter(Q(pk__in=ids) | Q(name__in=names), cluster=cluster)
    known = dict(rows.values_list("pk", "name"))
    missing = [one for one in told if one not in known and one not in known.values()]
    if missing:
        text = f"no VM of this cluster: {', '.join(map(str, missing[:5]))}; see its list of VMs"
        raise serializers.ValidationError({"vms": text})
    return sorted(known)


def _found_hosts(cluster: Cluster, told: dict[str, int]) -> dict[int, int]:
    ids = {int(key): value for key, value in told.items() if key.isascii() and key.isdigit()}
    ids = {key: value for key, value in ids.items() if 0 < key <= GREATEST}
    known = set(Host.objects.filter(pk__in=ids, cluster=cluster).values_list("pk", flat=True))
    if len(known) != len(told):
        missing = [key for key in told if not key.isdigit() or int(key) not in known]
        text = f"no host of this cluster: {', '.join(missing[:5])}; write ids of its hosts"
        raise serializers.ValidationError({"hosts": text})
    return ids


class RuleFilter(Filters):
    """``?cluster=1&kind=separate``."""

    class Meta:
        model = AffinityRule
        fields: ClassVar = {
            "cluster": ["exact"],
            "kind": ["exact"],
            "hard": ["exact"],
            "name": ["exact"],
        }


@extend_schema(tags=["affinity-rules"])
class AffinityViewSet(mixins.ListModelMixin, Creatable, mixins.DestroyModelMixin, Editable):
    """Affinity rules: what belongs together, apart, or on certain hosts."""

    queryset = AffinityRule.objects.prefetch_related("vms", "hosts").order_by("cluster", "name")
    serializer_class = RuleSerializer
    filterset_class = RuleFilter
    search_fields = ("name",)
    ordering_fields = ("name", "kind", "cluster")
    rows: ClassVar[Any] = rules_in
    live_kind = affinity.LIVE_KIND

    def perform_create(self, serializer: Any) -> None:
        """Enter a rule of a cluster that the caller administrates."""
        fields, now = serializer.validated_data, clock.now()
        require(self.request, Role.ADMIN, cluster=fields["cluster"].pk)
        try:
            serializer.instance = affinity.add(fields, actor=str(caller(self.request)), now=now)
        except Contradicts as error:
            raise _contradictory(error) from None

    def write(self, row: AffinityRule, changes: dict[str, Any]) -> None:
        """Write checked changes."""
        try:
            affinity.edit(row, changes, actor=str(caller(self.request)), now=clock.now())
        except Contradicts as error:
            raise _contradictory(error) from None

    def perform_destroy(self, instance: AffinityRule) -> None:
        """Remove a rule."""
        affinity.remove(instance, actor=str(caller(self.request)), now=clock.now())


def _contradictory(error: Contradicts) -> Problem:
    return Problem(409, "contradiction", str(error), cure=error.cure)
