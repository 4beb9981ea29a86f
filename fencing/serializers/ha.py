"""HA resources, their transitions and what is set about them, as JSON."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fencing.models import HaResource, HaScope, HaTransition
from fencing.services.ha_claims import ACTS, limits_of
from hosts.models import Cluster, ClusterMode
from portal.core.rest import Strict
from portal.lib import ha_registry
from portal.lib.ha import thresholds
from portal.lib.ha.record import Work
from portal.lib.ha.thresholds import ThresholdError
from vms.models import Vm

#: The greatest numbers of threads and of waiting questions that a queue may have.
MOST_RUNNING, MOST_WAITING = 500, 100_000
_OPTION_CHARS = 300


def checked_thresholds(value: dict[str, Any]) -> dict[str, float]:
    """Return threshold overrides, or a validation error that names the threshold."""
    try:
        return thresholds.validate(value)
    except ThresholdError as error:
        text = str(error).removeprefix(f"{error.name}: ")
        raise serializers.ValidationError({error.name: text}) from None


def checked_provider(name: str, kind: str) -> str:
    """Return the name of a provider that can be used for that kind, or say which ones there are."""
    entry = ha_registry.known().get(name)
    if entry is None:
        names = ", ".join(sorted(ha_registry.known()))
        raise serializers.ValidationError({"provider": f"there is none called so; try {names}"})
    if entry.provider is None:
        raise serializers.ValidationError({"provider": f"cannot be used: {entry.why_not}"})
    if kind not in entry.kinds:
        text = f"it is for {', '.join(entry.kinds)}, not for {kind}: name another"
        raise serializers.ValidationError({"provider": text})
    return name


def checked_options(provider: str, options: dict[str, str]) -> dict[str, str]:
    """Return options that the provider knows; they are shown, so they must hold no secret."""
    entry = ha_registry.known().get(provider)
    offered = entry.options if entry else {}
    for name, value in options.items():
        if name not in offered:
            there = ", ".join(offered) or "none"
            text = f"the provider {provider!r} has no such option; there are: {there}"
            raise serializers.ValidationError({"options": {name: text}})
        if "://" in value and "@" in value:
            text = "holds a name or a password, and options are shown: leave it out"
            raise serializers.ValidationError({"options": {name: text}})
    return options


def _options() -> serializers.DictField:
    child = serializers.CharField(max_length=_OPTION_CHARS)
    return serializers.DictField(child=child, default=dict)


class SaidSerializer(serializers.Serializer[Any]):
    """The last answer of the provider, as it was taken."""

    answer = serializers.ChoiceField(choices=["yes", "no", "unknown"])
    source = serializers.CharField()  # type: ignore[assignment]  # DRF takes it out of the class
    text = serializers.CharField()
    asked_at = serializers.DateTimeField()


class HaResourceSerializer(serializers.ModelSerializer[HaResource]):
    """Something that HA looks after: where it stands, and what was counted."""

    name = serializers.CharField(read_only=True)
    cluster = serializers.SerializerMethodField()
    held = serializers.SerializerMethodField(help_text="Why nothing is done now, or empty.")
    said = serializers.SerializerMethodField()

    class Meta:
        model = HaResource
        fields: ClassVar[Any] = (
            "id", "kind", "key", "name", "host", "vm", "cluster", "provider", "enabled", "state",
            "since", "reason", "held", "stuck", "declared", "work", "due_at", "attempt", "owner",
            "epoch", "failures", "rounds", "idle", "recoveries", "fences", "said", "options",
            "thresholds",
        )  # fmt: skip

    @extend_schema_field(serializers.IntegerField())
    def get_cluster(self, row: HaResource) -> int:
        """Return the cluster that it belongs to."""
        return row.host.cluster_id if row.host is not None else row.cluster_id or 0

    def get_held(self, row: HaResource) -> str:
        """Return why automation does not act."""
        observes = row.cluster is not None and row.cluster.mode == ClusterMode.OBSERVE
        return "its cluster only observes: arm it" if observes and row.work in ACTS else ""

    @extend_schema_field(SaidSerializer(allow_null=True))
    def get_said(self, row: HaResource) -> dict[str, Any] | None:
        """Return the last answer; null where none was given yet."""
        return row.said or None


class TransitionSerializer(serializers.ModelSerializer[HaTransition]):
    """One change of a resource's HA state, with what was counted then."""

    class Meta:
        model = HaTransition
        fields = ("id", "at", "event", "old", "new", "why", "actor", "rounds", "recoveries")


class WholeHaResourceSerializer(HaResourceSerializer):
    """A resource with the thresholds in force for it."""

    effective_thresholds = serializers.SerializerMethodField()

    class Meta(HaResourceSerializer.Meta):
        ref_name = "WholeHaResource"
        fields = (*HaResourceSerializer.Meta.fields, "effective_thresholds")

    @extend_schema_field(serializers.DictField(child=serializers.FloatField()))
    def get_effective_thresholds(self, row: HaResource) -> dict[str, float]:
        """Return every threshold in force."""
        limits = limits_of(row)
        return {name: getattr(limits, name) for name in thresholds.FIELDS}


class EnterHaResourceSerializer(Strict):
    """Something that HA is to look after; it is entered switched off."""

    kind = serializers.CharField(max_length=30)
    key = serializers.CharField(max_length=200, required=False)
    vm = serializers.PrimaryKeyRelatedField(queryset=Vm.objects.all(), required=False)
    cluster = serializers.PrimaryKeyRelatedField(queryset=Cluster.objects.all(), required=False)
    provider = serializers.CharField(max_length=60, required=False, allow_blank=True, default="")
    options = _options()
    thresholds = serializers.DictField(default=dict)

    def validate_kind(self, value: str) -> str:
        """Take kinds that some provider knows, besides hosts, which have theirs."""
        if value == "host":
            raise serializers.ValidationError("hosts are entered under hosts, with their HA")
        kinds = {kind for entry in ha_registry.known().values() for kind in entry.kinds}
        if value not in kinds:
            offered = ", ".join(sorted(kinds - {"host"}))
            raise serializers.ValidationError(f"no provider knows it; there are {offered}")
        return value

    def validate_thresholds(self, value: dict[str, Any]) -> dict[str, float]:
        """Check every override against its range."""
        return checked_thresholds(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Want a VM for its inside, and key and cluster for anything else."""
        wanted = ("vm",) if attrs["kind"] == "vm" else ("key", "cluster")
        for name in ("vm", "key", "cluster"):
            if (name in attrs) != (name in wanted):
                text = "is needed for it" if name in wanted else "leave it out for this kind"
                raise serializers.ValidationError({name: text})
        if attrs["provider"]:
            checked_provider(attrs["provider"], attrs["kind"])
        checked_options(attrs["provider"], attrs["options"])
        return attrs

    def to_representation(self, instance: HaResource) -> dict[str, Any]:
        """Answer with the resource as it is read."""
        return dict(WholeHaResourceSerializer(instance).data)


class ConfigureHaSerializer(Strict):
    """What to change of a resource; what is left out stays as it is."""

    provider = serializers.CharField(max_length=60, required=False)
    options = serializers.DictField(
        child=serializers.CharField(max_length=_OPTION_CHARS), required=False
    )
    thresholds = serializers.DictField(required=False)

    def validate_thresholds(self, value: dict[str, Any]) -> dict[str, float]:
        """Check every override against its range."""
        return checked_thresholds(value)


class DeclareSerializer(Strict):
    """Why somebody vouches for it."""

    reason = serializers.CharField(max_length=2000)


class ConfigureClusterHaSerializer(Strict):
    """The thresholds of a cluster's resources, all of them anew."""

    thresholds = serializers.DictField()

    def validate_thresholds(self, value: dict[str, Any]) -> dict[str, float]:
        """Check every override against its range."""
        return checked_thresholds(value)


class ConfigureAllHaSerializer(ConfigureClusterHaSerializer):
    """The thresholds of everything, and the bounds of an engine's queues."""

    queues = serializers.DictField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2),
        required=False,
        help_text="Kind of question -> [asked at once, waiting], for each engine.",
    )

    def validate_queues(self, value: dict[str, list[int]]) -> dict[str, list[int]]:
        """Check names and bounds."""
        for name, (running, waiting) in value.items():
            if name not in list(Work):
                text = f"no such queue; there are {', '.join(Work)}"
                raise serializers.ValidationError({name: text})
            if not (1 <= running <= MOST_RUNNING and 0 <= waiting <= MOST_WAITING):
                text = f"write 1 to {MOST_RUNNING} at once, and 0 to {MOST_WAITING} waiting"
                raise serializers.ValidationError({name: text})
        return value


class HaScopeSerializer(serializers.ModelSerializer[HaScope]):
    """Whether HA is on for everything, and how patient it is."""

    queues = serializers.DictField(child=serializers.ListField(child=serializers.IntegerField()))
    thresholds = serializers.DictField(child=serializers.FloatField())
    clusters_off = serializers.ListField(child=serializers.IntegerField(), read_only=True)

    class Meta:
        model = HaScope
        fields = ("enabled", "thresholds", "queues", "clusters_off")


class HaProviderSerializer(serializers.Serializer[Any]):
    """A provider of this installation, or what is wrong with it."""

    name = serializers.CharField()
    origin = serializers.CharField(help_text="“built in”, or the distribution that has it.")
    kinds = serializers.ListField(child=serializers.CharField())
    capabilities = serializers.ListField(child=serializers.CharField())
    options = serializers.DictField(child=serializers.CharField())
    usable = serializers.BooleanField()
    why_not = serializers.CharField(allow_blank=True)
