"""API tokens: the secret is shown once; one's own, and for administrators everybody's."""

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from portal.core import people
from portal.core.filtering import Filters
from portal.core.idempotency import once
from portal.core.models import ApiToken, Role
from portal.core.permissions import RANK, scopes_of
from portal.core.problems import Problem
from portal.core.rest import KEY, Resource, Strict, caller
from portal.lib import clock

_DAY = timedelta(days=1)


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token as it is listed: never its secret."""

    id = serializers.CharField(source="token_key")
    owner = serializers.CharField(source="user.username")

    class Meta:
        model = ApiToken
        fields: ClassVar[Any] = (
            "id",
            "user",
            "owner",
            "name",
            "scope",
            "created",
            "expiry",
            "last_used",
        )


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


class TokenFilter(Filters):
    """``?user=2&scope=admin``."""

    class Meta:
        model = ApiToken
        fields: ClassVar = {"user": ["exact"], "scope": ["exact"], "name": ["exact"]}


@extend_schema(tags=["tokens"])
class TokenViewSet(mixins.ListModelMixin, mixins.DestroyModelMixin, Resource):
    """Tokens: a program's way in, with at most its owner's roles.

    Everybody sees their own; administrators of everything see and revoke all (``?user=``).
    """

    role = Role.VIEWER  # everybody may have tokens; a token can do no more than its owner
    queryset = ApiToken.objects.select_related("user").order_by("-created", "token_key")
    serializer_class = TokenSerializer
    filterset_class = TokenFilter
    lookup_field = "token_key"
    lookup_url_kwarg = "id"
    lookup_value_regex = "[0-9A-Za-z]{1,40}"
    ordering_fields = ("created", "expiry", "last_used", "name")
    search_fields = ("name", "user__username")

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Return the caller's own tokens, or all of them for an administrator of everything."""
        found = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return found
        request = self.request
        if scopes_of(request.user, Role.ADMIN, request.auth).everything:
            return found
        return found.filter(user=caller(request))

    @extend_schema(request=WishSerializer, responses={201: MintedSerializer}, parameters=[KEY])
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a token of one's own.  A token cannot make one that may do more than itself."""
        form = WishSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        wish = form.validated_data
        self._no_more_than_its_maker(request, wish["scope"])
        return once(request, caller(request), lambda: self._mint(request, wish), secret=True)

    def _mint(self, request: Request, wish: dict[str, Any]) -> Response:
        lasts = wish["days"] * _DAY
        user, now = caller(request), clock.now()
        try:
            token, secret = people.mint(
                user, name=wish["name"], scope=wish["scope"], lasts=lasts, now=now
            )
        except people.TooMany:
            text = f"{user} has {people.MOST_TOKENS} live tokens, and no more are allowed"
            raise Problem(409, "too_many", text, cure="Revoke one that is not used.") from None
        token.token = secret
        return Response(MintedSerializer(token).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "id", {"type": "string", "pattern": "^[0-9A-Za-z]{1,40}$"}, OpenApiParameter.PATH
            )
        ]
    )
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Revoke a token.  A token cannot revoke one that may do more than itself."""
        return super().destroy(request, *args, **kwargs)

    def perform_destroy(self, instance: ApiToken) -> None:
        """Take the token away."""
        self._no_more_than_its_maker(self.request, instance.scope)
        people.revoke(instance, actor=str(caller(self.request)), now=clock.now())

    @staticmethod
    def _no_more_than_its_maker(request: Request, scope: str) -> None:
        mine = request.auth
        if isinstance(mine, ApiToken) and RANK[Role(scope)] > RANK[Role(mine.scope)]:
            text = f"a token of scope {mine.scope} has no say over one of scope {scope}"
            raise serializers.ValidationError({"scope": f"{text}: use a stronger one, or sign in"})
