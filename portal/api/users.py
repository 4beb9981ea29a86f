"""People who may sign in, over REST: for administrators of everything."""

from typing import Any, ClassVar

from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.bindings import last_administrator, named
from portal.core import people
from portal.core.filtering import Filters
from portal.core.models import Role, RoleBinding, User
from portal.core.problems import Problem
from portal.core.rest import Creatable, Editable, Strict, caller, verb
from portal.lib import clock


class UserRoleSerializer(serializers.ModelSerializer[RoleBinding]):
    """A role as it is shown with its user."""

    scope_name = serializers.CharField(read_only=True)

    class Meta:
        model = RoleBinding
        fields = ("id", "role", "scope_type", "scope_id", "scope_name")


class UserSerializer(Strict, serializers.ModelSerializer[User]):
    """A person: who it is, whether the door is open, and what may be done behind it."""

    username = serializers.RegexField(
        r"^[\w.@+-]+\Z", max_length=150, help_text="Letters, digits and @ . + - _"
    )
    roles = UserRoleSerializer(many=True, read_only=True)

    class Meta:
        model = User
        fields: ClassVar[Any] = (
            "id",
            "username",
            "is_active",
            "is_superuser",
            "last_login",
            "must_change_password",
            "roles",
            "version",
        )
        read_only_fields: ClassVar[Any] = tuple(name for name in fields if name != "username")

    def validate_username(self, value: str) -> str:
        """Keep names apart that look alike, and those of the portal itself."""
        name = User.normalize_username(value)
        if name.lower() in people.RESERVED:
            raise serializers.ValidationError(f"{name} is the portal itself: choose another name")
        if User.objects.filter(username__iexact=name).exists():
            text = "somebody is named so (letter case does not count): choose another name"
            raise serializers.ValidationError(text)
        return name


class NewUserSerializer(UserSerializer):
    """A person as entered: the only time that the one-time password is shown."""

    password = serializers.CharField(source="one_time_password", read_only=True)

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "password")
        read_only_fields = (*UserSerializer.Meta.read_only_fields, "password")


class UserEditSerializer(UserSerializer):
    """What may be changed of a person: events know people by name, so that stays."""

    class Meta(UserSerializer.Meta):
        read_only_fields = tuple(
            name
            for name in UserSerializer.Meta.fields
            if name not in ("is_active", "must_change_password")
        )
        extra_kwargs: ClassVar[Any] = {"must_change_password": {"required": False}}

    username = serializers.CharField(read_only=True)  # type: ignore[assignment]  # it stays as it is


class UserFilter(Filters):
    """``?is_active=false``."""

    class Meta:
        model = User
        fields: ClassVar = {
            "username": ["exact"],
            "is_active": ["exact"],
            "must_change_password": ["exact"],
        }


@extend_schema(tags=["users"])
class UserViewSet(mixins.ListModelMixin, Creatable, Editable):
    """Users: people who may sign in.  They are deactivated, never deleted."""

    role = Role.ADMIN
    everywhere = True
    shows_secret = True
    queryset = User.objects.prefetch_related(
        Prefetch("roles", named(RoleBinding.objects.order_by("pk")))
    ).order_by("username")
    serializer_class = UserSerializer
    filterset_class = UserFilter
    search_fields = ("username",)
    ordering_fields = ("username", "last_login", "is_active")
    live_kind = "user"

    def get_serializer_class(self) -> type[Any]:
        """Return the form that fits: only a new user has a password to be shown."""
        forms = {"create": NewUserSerializer, "partial_update": UserEditSerializer}
        return forms.get(str(self.action), UserSerializer)

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Say how somebody is shut out: what they did stays on record under their name."""
        if request.method != "DELETE":
            raise MethodNotAllowed(str(request.method))
        text = "users are not deleted: what they did stays on record under their name"
        cure = "Deactivate the user: PATCH is_active to false."
        raise Problem(405, "method_not_allowed", text, cure=cure)

    def perform_create(self, serializer: Any) -> None:
        """Enter a person, with a password that must be changed at the first sign-in."""
        user, password = people.add_user(
            serializer.validated_data["username"],
            actor=str(caller(self.request)),
            now=clock.now(),
        )
        user.one_time_password = password  # type: ignore[attr-defined]  # shown now, kept nowhere
        serializer.instance = user

    def write(self, row: User, changes: dict[str, Any]) -> None:
        """Write checked changes, unless they would leave nobody in charge."""
        try:
            people.edit_user(row, changes, actor=str(caller(self.request)), now=clock.now())
        except people.LastAdministrator:
            raise last_administrator("is_active") from None

    @verb(
        "reset-password",
        role=Role.ADMIN,
        answers_itself=True,
        secret=True,
        answer=NewUserSerializer,
    )
    def reset_password(self, user: User, fields: dict[str, Any], request: Request) -> Response:
        """Give a new one-time password, shown once; old sessions and tokens are void."""
        password = people.reset_password(user, actor=str(caller(request)), now=clock.now())
        user = self.get_queryset().get(pk=user.pk)
        user.one_time_password = password  # type: ignore[attr-defined]  # as above
        return Response(NewUserSerializer(user).data)
