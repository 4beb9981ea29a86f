"""The JSON of "what if this host died now?", as far as the caller may see it."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from rest_framework import serializers

from fencing.domain.rehoming import Fate
from fencing.domain.whatif import WhatIf, what_if, within
from fencing.selectors import cluster_facts
from hosts.models import Host
from hosts.permissions import hosts_in
from portal.core.permissions import Scopes
from vms.models import Vm
from vms.permissions import vms_in


class NamedSerializer(serializers.Serializer[Any]):
    """A host or VM by id and name."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class CourseSerializer(serializers.Serializer[Any]):
    """One way to die, and the row of the decision table that would fit it."""

    when = serializers.CharField()
    verdict = serializers.CharField()
    row = serializers.IntegerField()
    why = serializers.CharField()


class GuardedSerializer(serializers.Serializer[Any]):
    """A guard that would withhold the power command."""

    guard = serializers.CharField()
    text = serializers.CharField()


class ExpectedSerializer(serializers.Serializer[Any]):
    """Rough seconds after the death; null: not before a person has acted."""

    noticed = serializers.FloatField()
    decided = serializers.FloatField()
    proven_off = serializers.FloatField(allow_null=True)
    first_start = serializers.FloatField(allow_null=True)


class RefusalSerializer(serializers.Serializer[Any]):
    """Why a host would not take a VM."""

    host = NamedSerializer()
    why = serializers.CharField()


class FateSerializer(serializers.Serializer[Any]):
    """What would become of one VM; ``home`` is null when it has none or it is not yours to see."""

    vm = NamedSerializer()
    ha = serializers.BooleanField()
    start_tier = serializers.IntegerField()
    priority = serializers.IntegerField()
    restarts = serializers.BooleanField()
    home = NamedSerializer(allow_null=True)
    turn = serializers.IntegerField(help_text="1 starts first; 0 does not start")
    after_s = serializers.FloatField(allow_null=True)
    why = serializers.CharField(allow_blank=True)
    refusals = RefusalSerializer(many=True)


class WhatIfSerializer(serializers.Serializer[Any]):
    """What would become of a host and its VMs if it died now."""

    at = serializers.DateTimeField()
    host = NamedSerializer()
    handling = serializers.ChoiceField(choices=["fenced", "held", "asked", "ignored"])
    text = serializers.CharField()
    courses = CourseSerializer(many=True)
    held_by = GuardedSerializer(many=True)
    expected_s = ExpectedSerializer()
    vms = FateSerializer(many=True)
    hidden_vms = serializers.IntegerField()


def what_if_of(host: Host, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the answer about ``host``; what lies outside ``scopes`` is not named."""
    facts = cluster_facts(host.cluster_id, now)
    seen = next(item for item in facts.hosts if item.pk == host.pk)
    hosts = dict(
        Host.objects.filter(hosts_in(scopes), cluster=host.cluster_id).values_list("pk", "name")
    )
    vms = frozenset(
        Vm.objects.filter(vms_in(scopes), cluster=host.cluster_id).values_list("pk", flat=True)
    )
    every = len(hosts) == len(facts.hosts)
    whole = what_if(facts, seen, now)
    answer = within(whole, hosts=frozenset(hosts), vms=vms, every_host=every)
    return _json(answer, hosts, now, hidden=len(whole.vms) - len(answer.vms))


def _json(answer: WhatIf, hosts: dict[int, str], now: datetime, *, hidden: int) -> dict[str, Any]:
    told = {
        "at": now,
        "host": {"id": answer.host, "name": answer.name},
        "handling": answer.handling,
        "text": answer.text,
        "courses": [asdict(course) for course in answer.courses],
        "held_by": [asdict(item) for item in answer.held_by],
        "expected_s": asdict(answer.expected),
        "vms": [_fate(fate, hosts) for fate in answer.vms],
        "hidden_vms": hidden,
    }
    return dict(WhatIfSerializer(told).data)


def _fate(fate: Fate, hosts: dict[int, str]) -> dict[str, Any]:
    home = fate.home
    return {
        "vm": {"id": fate.vm, "name": fate.name},
        "ha": fate.ha,
        "start_tier": fate.start_tier,
        "priority": fate.priority,
        "restarts": bool(fate.turn),
        "home": {"id": home, "name": hosts[home]} if home is not None else None,
        "turn": fate.turn,
        "after_s": fate.after_s,
        "why": fate.why,
        "refusals": [
            {"host": {"id": pk, "name": hosts[pk]}, "why": why}
            for pk, why in sorted(fate.refusals.items(), key=lambda item: hosts[item[0]])
        ],
    }
