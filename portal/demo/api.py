"""Resources that exist only here, for trying HA: what each question is answered is set."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.api.refused import allowed
from fencing.models import HaResource
from fencing.serializers.ha import WholeHaResourceSerializer
from fencing.services import ha_resources
from hosts.models import Cluster
from portal.core.idempotency import once
from portal.core.models import Role, User
from portal.core.problems import Problem
from portal.core.rest import KEY, Door, Strict, caller
from portal.demo.ha_provider import OUTCOMES, QUESTIONS
from portal.lib import clock

KIND = "simulator"


class _Outcome(serializers.ChoiceField):
    """An outcome; true and false are yes and no."""

    def __init__(self) -> None:
        super().__init__(choices=OUTCOMES, required=False)

    def to_internal_value(self, data: Any) -> Any:
        """Take true and false as well."""
        words = {True: "yes", False: "no"}
        return super().to_internal_value(words[data] if isinstance(data, bool) else data)


class SimulatorSerializer(Strict):
    """What the questions about one simulated resource are answered from now on."""

    key = serializers.CharField(max_length=200)
    cluster = serializers.PrimaryKeyRelatedField(queryset=Cluster.objects.all(), required=False)
    eligible = _Outcome()
    health = _Outcome()
    activity = _Outcome()
    recover = _Outcome()
    fence = _Outcome()


class SimulatorView(Door):
    """Simulated resources; their transitions are read at ha-resources."""

    everywhere = True
    role = Role.ADMIN

    @extend_schema(
        tags=["simulator-providers"],
        operation_id="simulator_providers_set",
        request=SimulatorSerializer,
        responses=WholeHaResourceSerializer,
        parameters=[KEY],
    )
    def post(self, request: Request) -> Response:
        """Set outcomes; a key that is not there yet is entered into the cluster, switched off."""
        form = SimulatorSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = caller(request)

        def work() -> Response:
            row = _set(form.validated_data, user)
            return Response(WholeHaResourceSerializer(row).data)

        return once(request, user, work)


def _set(fields: dict[str, Any], user: User) -> HaResource:
    outcomes = {name: fields[name] for name in QUESTIONS if name in fields}
    found = HaResource.objects.filter(kind=KIND, key=fields["key"]).first()
    if found is not None:
        HaResource.objects.filter(pk=found.pk).update(options=found.options | outcomes)
        return HaResource.objects.select_related("cluster").get(pk=found.pk)
    if "cluster" not in fields:
        text, cure = "cluster: is needed for a new key", "Say into which cluster to enter it."
        raise Problem(400, "invalid", text, cure=cure, field="cluster")
    new = {
        "kind": KIND, "key": fields["key"], "cluster": fields["cluster"], "provider": KIND,
        "options": outcomes,
    }  # fmt: skip
    with allowed():
        return ha_resources.add(new, actor=str(user), now=clock.now())
