"""Locks as JSON."""

from rest_framework import serializers

from portal.core.rest import Strict
from vms.models import VmLock


class VmLockSerializer(serializers.ModelSerializer[VmLock]):
    """Who has locked a VM, and until when."""

    class Meta:
        model = VmLock
        fields = ("by", "why", "at", "until")


class LockSerializer(Strict):
    """Why a VM is locked, and for how long; without a time until somebody unlocks it."""

    reason = serializers.CharField(max_length=200)
    for_s = serializers.IntegerField(min_value=1, max_value=86_400, required=False)
