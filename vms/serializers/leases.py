"""Leases as JSON: what is shown of them, and what is asked."""

from typing import Any

from rest_framework import serializers

from portal.core.rest import Strict
from vms.domain.leases import LeaseState


class ShownLeaseSerializer(serializers.Serializer[Any]):
    """A VM's lease in a storage domain, and who held it when its slot was last read."""

    domain = serializers.CharField()
    slot = serializers.IntegerField(help_text="Its place in the lease volume, in MiB.")
    state = serializers.ChoiceField([state.value for state in LeaseState])
    carried = serializers.BooleanField(help_text="The open run was started with it: it counts.")
    guarded = serializers.BooleanField(help_text="Last read as held by the run's own host.")
    holder = serializers.CharField(help_text="Host that held it; empty: nobody, or not read.")
    holder_generation = serializers.IntegerField(help_text="... in that life of its sanlock.")
    read_at = serializers.DateTimeField(allow_null=True)
    age_s = serializers.IntegerField(allow_null=True)


class VmLeaseSerializer(Strict):
    """The storage domain, by name, in which a VM gets or loses a lease."""

    domain = serializers.CharField(max_length=48)


class LeaseMoveSerializer(VmLeaseSerializer):
    """The storage domain to which a lease goes, and from which if the VM has several."""

    from_domain = serializers.CharField(max_length=48, required=False, default="", allow_blank=True)
