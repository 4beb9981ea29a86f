"""The portal's look at itself, for administrators of everything."""

from dataclasses import asdict
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from portal.core.filtering import refuse_unknown
from portal.core.models import Role
from portal.core.rest import Door, require
from portal.lib import clock
from portal.selfcheck import checks
from portal.selfcheck.words import CheckState


class CheckSerializer(serializers.Serializer[Any]):
    """One thing that was looked at."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=[item.value for item in CheckState])
    text = serializers.CharField()
    cure = serializers.CharField(allow_blank=True)


class SelfCheckSerializer(serializers.Serializer[Any]):
    """All checks, and the worst state among them."""

    at = serializers.DateTimeField()
    state = serializers.ChoiceField(choices=[item.value for item in CheckState])
    checks = CheckSerializer(many=True)


@extend_schema(tags=["self-check"])
class SelfCheckView(Door):
    """Self-check: database, Redis, engines, workers, clocks, files, and what is unprotected."""

    role: ClassVar[Role] = Role.ADMIN

    @extend_schema(responses=SelfCheckSerializer, operation_id="self_check")
    def get(self, request: Request) -> Response:
        """Look at everything that needs no hardware; needs a role over everything."""
        require(request, Role.ADMIN)
        refuse_unknown(request, ())
        now = clock.now()
        found = checks(now, request.get_host())
        worst = max((item.state for item in found), key=list(CheckState).index)
        told = {"at": now, "state": worst, "checks": [asdict(item) for item in found]}
        return Response(SelfCheckSerializer(told).data)
