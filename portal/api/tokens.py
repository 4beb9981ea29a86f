"""A person's own API tokens: the secret is shown once."""

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from portal.core.models import ApiToken, Role
from portal.core.rest import Door, Strict, caller

_DAY = timedelta(days=1)


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token as it is listed: never its secret."""

    id = serializers.CharField(source="token_key")

    class Meta:
        model = ApiToken
        fields: ClassVar[Any] = ("id", "name", "scope", "created", "expiry", "last_used")


class MintedSerializer(TokenSerializer):
    """A token as it is made: the only time that its secret is shown."""

    token = serializers.CharField()

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")


class WishSerializer(Strict):
    """What a new token is for."""

    name = serializers.CharField(max_length=100)
    scope = serializers.ChoiceField(choices=Role.choices, default=Role.VIEWER)
    days = serializers.IntegerField(min_value=1, max_value=3650, default=90)


@extend_schema(
    tags=["tokens"], parameters=[OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH)]
)
class TokenViewSet(
    Door, mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[ApiToken]
):
    """Tokens: a program's way in, with at most its owner's roles."""

    role = Role.VIEWER  # everybody may have tokens; a token can do no more than its owner
    queryset = ApiToken.objects.order_by("-created")
    serializer_class = TokenSerializer
    lookup_field = "token_key"
    lookup_url_kwarg = "id"
    lookup_value_regex = "[0-9A-Za-z]{1,40}"
    ordering_fields = ("created", "expiry", "name")
    search_fields = ("name",)

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Return the caller's own tokens."""
        found = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return found
        return found.filter(user=caller(self.request))

    @extend_schema(request=WishSerializer, responses={201: MintedSerializer}, parameters=[])
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a token.  A token cannot make one that may do more than itself."""
        form = WishSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        wish = form.validated_data
        self._no_more_than_its_maker(request, wish["scope"])
        token, secret = ApiToken.objects.create(
            user=caller(request),
            expiry=wish["days"] * _DAY,
            name=wish["name"],
            scope=wish["scope"],
        )
        token.token = secret
        return Response(MintedSerializer(token).data, status=status.HTTP_201_CREATED)

    @staticmethod
    def _no_more_than_its_maker(request: Request, scope: str) -> None:
        if not isinstance(request.auth, ApiToken):
            return
        order = list(Role.values)
        if order.index(scope) > order.index(request.auth.scope):
            text = f"a token of scope {request.auth.scope} cannot make one of scope {scope}"
            raise serializers.ValidationError({"scope": text})
