"""References to other rows, as far as the caller sees those."""

from collections.abc import Callable
from typing import Any, cast

from django.db.models import Q, QuerySet
from rest_framework.serializers import PrimaryKeyRelatedField

from portal.core.models import Role
from portal.core.permissions import Scopes, scopes_of


class Seen(PrimaryKeyRelatedField[Any]):
    """The id of a row that the caller sees; a hidden one is refused like one that never was.

    ``rows`` returns which rows certain scopes cover.
    """

    def __init__(self, *, rows: Callable[[Scopes], Q], **more: Any) -> None:
        self.rows = rows
        super().__init__(**more)

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows that may be named."""
        request = self.context["request"]
        seen = self.rows(scopes_of(request.user, Role.VIEWER, request.auth))
        found: Any = super().get_queryset()
        return cast("QuerySet[Any]", found.filter(seen))
