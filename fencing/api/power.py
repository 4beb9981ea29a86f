"""Power controllers over REST."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from fencing.api.refused import refused
from fencing.filters import ControllerFilter
from fencing.models import PowerController
from fencing.operations import entering
from fencing.permissions import of_hosts
from fencing.serializers.power import ControllerSerializer
from fencing.services import inventory, power
from portal.core.models import Role
from portal.core.rest import Creatable, Editable, accepted, caller, require, verb
from portal.lib import clock


@extend_schema(tags=["power-controllers"])
class ControllerViewSet(mixins.ListModelMixin, Creatable, mixins.DestroyModelMixin, Editable):
    """Power controllers: the BMCs that can switch hosts and prove them off."""

    queryset = (
        PowerController.objects.defer("password")
        .select_related("host")
        .order_by("host", "level", "pk")
    )
    serializer_class = ControllerSerializer
    filterset_class = ControllerFilter
    search_fields = ("address", "host__name")
    ordering_fields = ("host", "level", "address", "state")
    rows: ClassVar[Any] = of_hosts
    live_kind = "host"

    def examine(self, row: PowerController | None, changes: dict[str, Any]) -> None:
        """Ask the BMC first: one that cannot be used for this host is not entered."""
        if not entering.ASKED_FOR & set(changes):
            return
        tried = self.get_queryset().get(pk=row.pk) if row else PowerController()
        for name, value in changes.items():
            setattr(tried, name, value)
        require(self.request, Role.ADMIN, host=tried.host_id, cluster=tried.host.cluster_id)
        with refused():
            entering.examine(tried)

    def perform_create(self, serializer: Any) -> None:
        """Enter a controller of a host that the caller administrates."""
        fields = serializer.validated_data
        host = fields["host"]
        require(self.request, Role.ADMIN, host=host.pk, cluster=host.cluster_id)
        actor = str(caller(self.request))
        serializer.instance = inventory.add_controller(fields, actor=actor, now=clock.now())

    def write(self, row: PowerController, changes: dict[str, Any]) -> None:
        """Write checked changes: what it said before counts no longer."""
        actor = str(caller(self.request))
        inventory.edit_controller(row, changes, actor=actor, now=clock.now())

    def perform_destroy(self, instance: PowerController) -> None:
        """Remove a controller."""
        actor = str(caller(self.request))
        inventory.remove_controller(instance, actor=actor, now=clock.now())

    @verb("test")
    def test(self, row: PowerController, fields: dict[str, Any], request: Request) -> Response:
        """Ask the host's controllers now; the operation's steps say what each answered."""
        actor = str(caller(request))
        op = power.ask("check", row.host_id, now=clock.now(), by=actor, why=f"test by {actor}")
        return accepted(op, request)
