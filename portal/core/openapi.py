"""What every operation of the API can answer besides success, told once for all of them."""

from collections.abc import Iterator
from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from portal.core.problems import MEDIA_TYPE

_BODIES = ("POST", "PATCH", "PUT")
#: Status -> what it means here, and to which calls it can happen.
_ALWAYS = {
    400: "A parameter, header or field is wrong: “field” names it.",
    401: "No credentials, or none that are known.",
    403: "The role, or the token's scope, does not cover this.",
    406: "Only JSON is to be had.",
}
_CHANGES = {
    409: "It does not fit the present state: “cure” says what to do.",
    503: "Others wrote at the same moment, and nothing was changed: send it again.",
}
_WITH_BODY = {
    411: "The body comes without its length.",
    413: "The body is too long.",
    415: "The body is not JSON.",
}
_POST = {422: "The Idempotency-Key was used for another request, or the fields contradict facts."}
_PATCH = {
    412: "It was changed since it was read: “current” and “etag” are what it is now.",
    428: "The If-Match header is missing.",
}
_ABSENT = {404: "There is no such object or page, or the role does not cover it."}


class BrowserScheme(SessionScheme):  # type: ignore[no-untyped-call]  # registers itself
    """Describes the session as Django's own would be."""

    target_class = "portal.core.browsers.BrowserSession"


class FieldErrorSerializer(serializers.Serializer[Any]):
    """What is wrong with one field."""

    field = serializers.CharField()
    text = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """An error as RFC 9457 has it, with the field at fault and the cure."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    cure = serializers.CharField(allow_blank=True)
    field = serializers.CharField(required=False)
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]  # DRF takes it out of the class
    current = serializers.JSONField(required=False, help_text="412 only: the object as it is now.")
    etag = serializers.CharField(required=False, help_text="412 only: the ETag of “current”.")


def _may_be_blank(field: Any) -> bool:
    """Whether a column of choices may be empty; DRF forgets it where the field is read-only."""
    model = getattr(getattr(field.parent, "Meta", None), "model", None)
    columns = {column.name: column for column in model._meta.fields} if model else {}
    return bool(getattr(columns.get(field.source), "blank", False))


_AutoSchema: Any = AutoSchema  # drf-spectacular is typed in parts only


class Documented(_AutoSchema):  # type: ignore[misc]  # as above
    """Adds the problems that a call can be answered with to what its view declares."""

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        found: dict[str, Any] = super()._get_response_bodies(direction)
        for status, text in self._problems():
            answer = OpenApiResponse(ProblemSerializer, text)
            told = self._get_response_for_code(answer, str(status), [MEDIA_TYPE], direction)
            found.setdefault(str(status), told)
        return dict(sorted(found.items()))

    def _map_serializer_field(
        self, field: Any, direction: str, bypass_extensions: bool = False
    ) -> dict[str, Any] | None:
        found: dict[str, Any] | None = super()._map_serializer_field(
            field, direction, bypass_extensions
        )
        if found and "enum" in found and _may_be_blank(field) and "" not in found["enum"]:
            found["enum"] = [*found["enum"], ""]
        return found

    def _problems(self) -> Iterator[tuple[int, str]]:
        yield from _ALWAYS.items()
        if "{" in self.path or self._is_list_view():
            yield from _ABSENT.items()
        if self.method in (*_BODIES, "DELETE"):
            yield from _CHANGES.items()
        if self.method in _BODIES:
            yield from _WITH_BODY.items()
        if self.method == "POST":
            yield from _POST.items()
        if self.method == "PATCH":
            yield from _PATCH.items()
