"""Who has which role over what, over REST: for administrators of everything."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Case, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers

from hosts.models import Cluster, Host
from portal.core import people
from portal.core.filtering import GREATEST, Filters
from portal.core.models import Role, RoleBinding
from portal.core.problems import Problem
from portal.core.rest import Creatable, Resource, Strict, caller
from portal.lib import clock
from vms.models import Vm

EVERYTHING = "everything"
#: What a role can be over, besides everything.
SCOPES: dict[str, type[models.Model]] = {"cluster": Cluster, "host": Host, "vm": Vm}


def named(rows: QuerySet[RoleBinding]) -> QuerySet[RoleBinding]:
    """Return bindings with ``scope_name``: empty when the object has been removed.

    A binding outlives its object: ids are never given out again, so it opens nothing.
    """
    names = [
        When(scope_type=kind, then=Subquery(_names(model).values("name")[:1]))
        for kind, model in SCOPES.items()
    ]
    found = Case(When(scope_type="all", then=Value(EVERYTHING)), *names)
    return rows.annotate(scope_name=Coalesce(found, Value(""), output_field=models.CharField()))


def _names(model: type[models.Model]) -> QuerySet[Any]:
    return model._default_manager.filter(pk=OuterRef("scope_id"))


def last_administrator(field: str) -> Problem:
    """Return the problem of a change that would leave nobody in charge."""
    text = "nobody would be left who administrates everything; nothing was changed"
    cure = "Give somebody else who is active the role admin over everything first."
    return Problem(409, "last_administrator", text, cure=cure, field=field)


class BindingSerializer(Strict, serializers.ModelSerializer[RoleBinding]):
    """A role of a user over everything, a cluster, a host or a VM."""

    username = serializers.CharField(source="user.username", read_only=True)
    scope_type = serializers.ChoiceField(choices=["all", *SCOPES], default="all")
    scope_id = serializers.IntegerField(
        min_value=0, max_value=GREATEST, default=0, help_text="0 where scope_type is all."
    )
    scope_name = serializers.CharField(
        read_only=True, help_text="Empty when the object has been removed."
    )

    class Meta:
        model = RoleBinding
        fields = ("id", "user", "username", "role", "scope_type", "scope_id", "scope_name")
        validators: ClassVar[Any] = []  # see validate(), which says what to do

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a scope that is not there, and a second role at the same place."""
        kind, pk = attrs["scope_type"], attrs["scope_id"]
        if kind == "all" and pk:
            raise serializers.ValidationError({"scope_id": "leave it out: this is everything"})
        if kind != "all" and not SCOPES[kind]._default_manager.filter(pk=pk).exists():
            text = f"there is no {kind} with this id: see the list of {kind}s"
            raise serializers.ValidationError({"scope_id": text})
        there = RoleBinding.objects.filter(user=attrs["user"], scope_type=kind, scope_id=pk).first()
        if there is not None:
            text = f"the user is {there.role} there already: remove role binding {there.pk} first"
            raise serializers.ValidationError({"role": text})
        return attrs


class BindingFilter(Filters):
    """``?user=2&role=admin``; ``?scope_type=host&scope_id=3``."""

    class Meta:
        model = RoleBinding
        fields: ClassVar = {
            "user": ["exact"],
            "role": ["exact"],
            "scope_type": ["exact"],
            "scope_id": ["exact"],
        }


@extend_schema(tags=["role-bindings"])
class BindingViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    Creatable,
    Resource,
):
    """Role bindings: who may do what, and where.  To change one, remove it and add another."""

    role = Role.ADMIN
    everywhere = True
    queryset = named(RoleBinding.objects.select_related("user").order_by("user__username", "pk"))
    serializer_class = BindingSerializer
    filterset_class = BindingFilter
    search_fields = ("user__username",)
    ordering_fields = ("user__username", "role", "scope_type")

    def perform_create(self, serializer: Any) -> None:
        """Give a role."""
        fields = serializer.validated_data
        kind, pk = fields["scope_type"], fields["scope_id"]
        where = f"{kind} {SCOPES[kind]._default_manager.get(pk=pk)}" if pk else EVERYTHING
        binding = people.bind(fields, where, actor=str(caller(self.request)), now=clock.now())
        serializer.instance = self.get_queryset().get(pk=binding.pk)

    def perform_destroy(self, instance: RoleBinding) -> None:
        """Take a role away, unless nobody would administrate everything then."""
        name = getattr(instance, "scope_name", "")
        where = name if instance.scope_type == "all" else f"{instance.scope_type} {name}".strip()
        try:
            people.unbind(instance, where, actor=str(caller(self.request)), now=clock.now())
        except people.LastAdministrator:
            raise last_administrator("role") from None
