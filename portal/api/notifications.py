"""Notification targets and the log of deliveries over REST: for administrators of everything."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from portal.api.notification_shapes import (
    DeliveryFilter,
    DeliverySerializer,
    NotificationTargetSerializer,
    TargetFilter,
    with_events,
)
from portal.core.models import Delivery, NotificationTarget, Role
from portal.core.problems import Problem
from portal.core.rest import Creatable, Editable, Resource, caller, require, verb
from portal.lib import clock
from portal.notify.services import targets


class ForAdmins(Resource):
    """Addresses may hold tokens, and a target makes the portal call where it is told to."""

    role = Role.ADMIN

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let nobody in whose role is over less than everything."""
        super().initial(request, *args, **kwargs)
        require(request, Role.ADMIN)


def _watched(pk: int, request: Request) -> Response:
    """Answer 202 with where the delivery can be watched."""
    row = with_events(Delivery.objects.all()).get(pk=pk)
    where = reverse("delivery-detail", args=[pk], request=request)
    told = DeliverySerializer(row).data
    return Response(told, status=status.HTTP_202_ACCEPTED, headers={"Location": where})


@extend_schema(tags=["notifications"])
class TargetViewSet(
    ForAdmins, mixins.ListModelMixin, Creatable, mixins.DestroyModelMixin, Editable
):
    """Notification targets: who is told by mail or webhook, and of what."""

    queryset = NotificationTarget.objects.defer("secret").order_by("name")
    serializer_class = NotificationTargetSerializer
    filterset_class = TargetFilter
    search_fields = ("name", "address")
    ordering_fields = ("name", "kind", "enabled", "tried_at", "delivered_at", "failures")
    live_kind = targets.LIVE_KIND

    def perform_create(self, serializer: Any) -> None:
        """Enter a target; it is told of what happens from now on."""
        actor, now = str(caller(self.request)), clock.now()
        serializer.instance = targets.add(serializer.validated_data, actor=actor, now=now)

    def write(self, row: NotificationTarget, changes: dict[str, Any]) -> None:
        """Write checked changes; what waits is tried at once."""
        targets.edit(row, changes, actor=str(caller(self.request)), now=clock.now())

    def perform_destroy(self, instance: NotificationTarget) -> None:
        """Remove a target with its log."""
        targets.remove(instance, actor=str(caller(self.request)), now=clock.now())

    @extend_schema(responses={202: DeliverySerializer})
    @verb("test", role=Role.ADMIN)
    def test(self, row: NotificationTarget, fields: dict[str, Any], request: Request) -> Response:
        """Send one test message now, also to a target that is switched off; tried once."""
        test = targets.ask_test(row, actor=str(caller(request)), now=clock.now())
        return _watched(test.pk, request)


@extend_schema(tags=["notifications"])
class DeliveryViewSet(ForAdmins, mixins.ListModelMixin, mixins.RetrieveModelMixin):
    """Deliveries: each event for each target, how often it was tried, and what came of it."""

    queryset = with_events(Delivery.objects.all()).order_by("-pk")
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    search_fields = ("event_text", "error_text", "target__name")
    ordering_fields: ClassVar[Any] = ("at", "due_at", "tried_at", "ended_at", "attempts", "state")

    @extend_schema(responses={202: DeliverySerializer})
    @verb("retry", role=Role.ADMIN)
    def retry(self, row: Delivery, fields: dict[str, Any], request: Request) -> Response:
        """Send its message again now, under the same id: one that was given up, or waits."""
        try:
            targets.send_again(row, actor=str(caller(request)), now=clock.now())
        except targets.NotAgain as error:
            cure = "Only what failed or waits can be sent again; to see that it works, send a test."
            raise Problem(409, "not_again", str(error), cure=cure) from None
        return _watched(row.pk, request)
