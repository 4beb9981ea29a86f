"""Entering hosts over REST, whole: the host, its power controller, and what runs on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from fencing.api.refused import refused
from fencing.api.shown import ShownHostSerializer
from fencing.api.wishes import AdoptedSerializer, AdoptSerializer, EnterHostSerializer
from fencing.models import PowerController
from fencing.operations import entering as power_entering
from fencing.services import inventory
from hosts.api import HostViewSet as PlainHostViewSet
from hosts.models import Host
from hosts.services.inventory import add_host
from portal.core.models import Role
from portal.core.problems import Problem
from portal.core.rest import KEY, caller, require, verb
from portal.core.shapes import as_operation, slug_of
from portal.lib import clock
from vms.operations import adopting as looking
from vms.operations import entering
from vms.services import adopting
from vms.services.adopting import Adoption
from vms.services.inventory import NotNow

#: Fields of the wizard's last request that are no columns of the host.
_MORE = ("adopt", "adopt_ha", "power")


class EnteringHosts(PlainHostViewSet):
    """Hosts, as far as machines and BMCs are asked before anything is written."""

    #: What the examination of this request has found, for the transaction after it.
    found: Adoption | None = None

    def get_serializer_class(self) -> type[Any]:
        """Return the wider form where a host is entered."""
        return EnterHostSerializer if self.action == "create" else ShownHostSerializer

    @extend_schema(
        request=EnterHostSerializer, responses={201: ShownHostSerializer}, parameters=[KEY]
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Enter a host; with its power controller and its VMs, all of them or nothing."""
        return super().create(request, *args, **kwargs)

    def examine(self, row: Host | None, changes: dict[str, Any]) -> None:
        """Look at the machine first: a host that cannot be used is not entered."""
        if row is not None and "cluster" in changes:
            require(self.request, Role.ADMIN, cluster=changes["cluster"].pk)
        if "uri" not in changes:
            return
        columns = {name: value for name, value in changes.items() if name not in _MORE}
        host = self.get_queryset().get(pk=row.pk) if row else Host(**columns)
        require(self.request, Role.ADMIN, cluster=host.cluster_id, host=host.pk or 0)
        host.uri = changes["uri"]
        with refused():
            look = entering.examine(host)
        if row is not None:
            return
        host.host_uuid = look.host_uuid
        if changes.get("power"):
            with refused("power"):
                power_entering.examine(PowerController(host=host, **changes["power"]))
        if changes.get("adopt"):
            with refused():
                self.found = looking.examine(host, changes["adopt"], field="adopt")

    def perform_create(self, serializer: Any) -> None:
        """Enter a host in a cluster that the caller administrates, protected by HA."""
        fields = dict(serializer.validated_data)
        more = {name: fields.pop(name, None) for name in _MORE}
        require(self.request, Role.ADMIN, cluster=fields["cluster"].pk)
        actor, now = str(caller(self.request)), clock.now()
        found = _examined(self.found) if more["adopt"] else None
        seen = (found.look, found.asked_at) if found else None
        host = add_host(fields, actor=actor, now=now, seen=seen)
        inventory.protect(host, now)
        if more["power"]:
            inventory.add_controller({"host": host} | more["power"], actor=actor, now=now)
        if found is not None:
            with told():
                adopting.adopt(host, found, ha=bool(more["adopt_ha"]), actor=actor, now=now)
        serializer.instance = self.get_queryset().get(pk=host.pk)

    def examine_adoption(self, host: Host, fields: dict[str, Any], request: Request) -> None:
        """Look at what shall be adopted, while no transaction is open."""
        require(request, Role.ADMIN, cluster=host.cluster_id)
        with refused():
            self.found = looking.examine(host, fields["vms"], field="vms")

    @verb(
        "adopt",
        takes=AdoptSerializer,
        role=Role.ADMIN,
        answer=AdoptedSerializer,
        before="examine_adoption",
    )
    def adopt(self, host: Host, fields: dict[str, Any], request: Request) -> Response:
        """Look after VMs that run, or are defined, on the host; nothing is started or stopped."""
        actor, found = str(caller(request)), _examined(self.found)
        with told():
            ops = adopting.adopt(host, found, ha=fields["ha"], actor=actor, now=clock.now())
        where = reverse("operation-detail", args=[slug_of(ops[0])], request=request)
        body = {"operations": [as_operation(op) for op in ops]}
        return Response(body, status=status.HTTP_202_ACCEPTED, headers={"Location": where})


def _examined(found: Adoption | None) -> Adoption:
    """Return what was found; a repeated request whose first answer is gone was not examined."""
    if found is None:
        cure = "Send it again with a new Idempotency-Key."
        raise Problem(409, "conflict", "the same request was just being answered", cure=cure)
    return found


@contextmanager
def told() -> Iterator[None]:
    """Turn :class:`NotNow` into a problem: 409, nothing was changed."""
    try:
        yield
    except NotNow as error:
        raise Problem(409, "not_now", str(error), cure=error.cure) from None
