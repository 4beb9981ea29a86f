"""Notification targets and deliveries as JSON; a secret goes in and never comes out."""

from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError as BadMailAddress
from django.core.validators import validate_email
from django.db.models import OuterRef, QuerySet, Subquery
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from hosts.models import Cluster
from hosts.serializers import OneName
from portal.core.filtering import GREATEST, Filters
from portal.core.models import Delivery, Event, NotificationTarget
from portal.core.names import readable
from portal.core.rest import Strict
from portal.lib.told import Channel
from portal.notify import mail
from portal.notify.domain.addresses import checked_url
from portal.notify.services.failing import is_failing

_OBSERVED = (
    "failing", "failures", "resting_until", "tried_at", "delivered_at", "error", "version",
)  # fmt: skip


class WhySerializer(serializers.Serializer[Any]):
    """Why something did not arrive, and what to do."""

    text = serializers.CharField(source="error_text")
    cure = serializers.CharField(source="error_cure")


class _Told(serializers.ModelSerializer[Any]):
    """Shows an error only where there is one."""

    error = serializers.SerializerMethodField()

    @extend_schema_field(WhySerializer(allow_null=True))
    def get_error(self, row: Any) -> dict[str, Any] | None:
        """Return why the last try failed, or None."""
        return dict(WhySerializer(row).data) if row.error_text else None


class NotificationTargetSerializer(Strict, _Told):
    """Who is told, of what, and how; and whether it arrives."""

    name = serializers.CharField(
        max_length=100,
        validators=[readable, OneName(NotificationTarget.objects.all(), "notification target")],
    )
    secret = serializers.CharField(
        write_only=True,
        required=False,
        min_length=16,
        max_length=200,
        trim_whitespace=False,
        help_text="Signs webhooks (HMAC-SHA256): 16 characters or more; a mail has none.",
    )
    cluster = serializers.IntegerField(
        min_value=0,
        max_value=GREATEST,
        required=False,
        help_text="Only events of this cluster, and those of none; 0: of all.",
    )
    failing = serializers.SerializerMethodField()

    class Meta:
        model = NotificationTarget
        fields: ClassVar[Any] = (
            "id", "name", "kind", "address", "secret", "enabled", "what", "cluster", *_OBSERVED,
        )  # fmt: skip
        read_only_fields: ClassVar[Any] = _OBSERVED

    def get_failing(self, row: NotificationTarget) -> bool:
        """Return whether an alert says that this target is not reached."""
        return is_failing(row)

    def validate_cluster(self, value: int) -> int:
        """Refuse a cluster that is not there: nothing would ever be told."""
        if value and not Cluster.objects.filter(pk=value).exists():
            raise serializers.ValidationError("there is no such cluster: give its id, or 0 for all")
        return value

    def validate_kind(self, value: str) -> str:
        """Keep the kind of a target; refuse mail where no mail can be sent."""
        row = self.instance
        if isinstance(row, NotificationTarget) and row.kind != value:
            raise serializers.ValidationError("it keeps its kind: enter a new target instead")
        if value == Channel.EMAIL and settings.MAIL_SERVER is None:
            raise serializers.ValidationError(f"{mail.NO_SERVER}. {mail.NO_SERVER_CURE}")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check address and secret against the kind."""
        row = self.instance if isinstance(self.instance, NotificationTarget) else None
        kind = attrs.get("kind") or (row.kind if row else "")
        if "address" in attrs:
            attrs["address"] = _checked_address(kind, attrs["address"])
        if kind == Channel.EMAIL and attrs.get("secret"):
            raise serializers.ValidationError({"secret": "a mail is not signed: leave it out"})
        if kind == Channel.WEBHOOK and row is None and not attrs.get("secret"):
            text = "a webhook is signed: enter 16 characters or more that its receiver knows, too"
            raise serializers.ValidationError({"secret": text})
        return attrs


def _checked_address(kind: str, address: str) -> str:
    try:
        if kind == Channel.WEBHOOK:
            return checked_url(address)
        validate_email(address)
    except BadMailAddress:
        text = "write one address, such as ops@example.org"
        raise serializers.ValidationError({"address": text}) from None
    except ValueError as error:
        raise serializers.ValidationError({"address": str(error)}) from None
    return address


class DeliverySerializer(_Told):
    """One event on its way to one target; without an event it is a test."""

    is_test = serializers.SerializerMethodField()
    event_kind = serializers.CharField(read_only=True, allow_null=True)
    event_text = serializers.CharField(read_only=True, allow_null=True)

    class Meta:
        model = Delivery
        fields: ClassVar[Any] = (
            "id", "target", "event", "event_kind", "event_text", "is_test", "urgent", "message",
            "state", "attempts", "at", "due_at", "tried_at", "ended_at", "http_status", "error",
        )  # fmt: skip
        read_only_fields = fields

    def get_is_test(self, row: Delivery) -> bool:
        """Return whether somebody asked for it, to see that it arrives."""
        return row.event == 0


def with_events(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Return deliveries together with what their events say."""
    event = Event.objects.filter(pk=OuterRef("event"))
    return rows.annotate(
        event_kind=Subquery(event.values("kind")[:1]), event_text=Subquery(event.values("text")[:1])
    )


class TargetFilter(Filters):
    """``?kind=webhook&enabled=true``."""

    class Meta:
        model = NotificationTarget
        fields: ClassVar = {
            "name": ["exact"],
            "kind": ["exact"],
            "enabled": ["exact"],
            "what": ["exact"],
            "cluster": ["exact"],
        }


class DeliveryFilter(Filters):
    """``?target=1&state=failed``; ``event=0`` are the tests."""

    class Meta:
        model = Delivery
        fields: ClassVar = {
            "target": ["exact"],
            "state": ["exact", "in"],
            "event": ["exact"],
            "message": ["exact"],
            "urgent": ["exact"],
        }
