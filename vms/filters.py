"""What lists of VMs, runs and proofs can be filtered by."""

from typing import ClassVar

from django.db.models import Q, QuerySet

from portal.core.filtering import Filters, WholeNumber, YesOrNo
from vms.models import Proof, Run, Vm


class VmFilter(Filters):
    """``?host=2`` are the VMs whose run is open there."""

    host = WholeNumber(method="on_host", label="host of the open run")

    class Meta:
        model = Vm
        fields: ClassVar = {
            "name": ["exact"],
            "cluster": ["exact"],
            "state": ["exact", "in"],
            "ha": ["exact"],
            "wanted_up": ["exact"],
            "quarantined": ["exact"],
        }

    def on_host(self, rows: QuerySet[Vm], name: str, value: int) -> QuerySet[Vm]:
        """Return the VMs that run on a host now."""
        there = Run.objects.filter(ended_at__isnull=True, host=value).values("vm")
        return rows.filter(Q(pk__in=there))


class RunFilter(Filters):
    """``?vm=3&open=true``."""

    open = YesOrNo(field_name="ended_at", lookup_expr="isnull", label="not ended")

    class Meta:
        model = Run
        fields: ClassVar = {"vm": ["exact"], "host": ["exact"], "state": ["exact"]}


class ProofFilter(Filters):
    """``?host=2&kind=power_off``."""

    class Meta:
        model = Proof
        fields: ClassVar = {"host": ["exact"], "kind": ["exact", "in"], "reason": ["exact"]}
