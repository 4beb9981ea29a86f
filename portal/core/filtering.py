"""How lists are narrowed, searched and ordered: a parameter that says nothing is refused."""

from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, ClassVar

from django import forms
from django.db import models
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter, SearchFilter
from rest_framework.request import Request

#: The greatest number that the databases keep.
GREATEST = 2**63 - 1
#: Each word of a search is a term of the query, and databases limit those.
SEARCH_CHARS = 200


class WholeNumber(filters.NumberFilter):  # type: ignore[misc]  # django-filter ships no types
    """An id or a count: 0 up to what a database can hold."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=0, max_value=GREATEST, **kwargs)

    def get_max_validator(self) -> None:
        """The field has its own."""


class _YesOrNoField(forms.CharField):
    def clean(self, value: Any) -> bool | None:
        text = super().clean(value).lower()
        if text in ("", "true", "false"):
            return {"true": True, "false": False}.get(text)
        raise forms.ValidationError("write true or false")


class YesOrNo(filters.BooleanFilter):  # type: ignore[misc]  # as above
    """``true`` or ``false``; anything else is an error instead of “no filter”."""

    field_class = _YesOrNoField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **({"widget": forms.TextInput, "required": False} | kwargs))


class _MomentField(filters.IsoDateTimeFilter.field_class):  # type: ignore[misc]  # as above
    def clean(self, value: Any) -> datetime | None:
        found: datetime | None = super().clean(value)
        try:
            return found.astimezone(UTC) if found else None
        except OverflowError:
            raise forms.ValidationError("write a time of the years 1 to 9999, in UTC") from None


class Moment(filters.IsoDateTimeFilter):  # type: ignore[misc]  # as above
    """A time such as ``2026-01-01T00:00:00Z``."""

    field_class = _MomentField


_DEFAULTS = deepcopy(filters.FilterSet.FILTER_DEFAULTS)
_DEFAULTS |= {
    # By number alone: of what was removed since, or is hidden, nobody learns that it is there.
    models.ForeignKey: {"filter_class": WholeNumber},
    models.BooleanField: {"filter_class": YesOrNo},
    models.DateTimeField: {"filter_class": Moment},
} | {kind: {"filter_class": WholeNumber} for kind in (models.IntegerField, models.BigIntegerField)}


class Filters(filters.FilterSet):  # type: ignore[misc]  # as above
    """Filters whose every wrong value is a 400 that names it."""

    FILTER_DEFAULTS: ClassVar = _DEFAULTS


def refuse_unknown(request: Request, known: Iterable[str]) -> None:
    """Raise when the query has a name that means nothing: a typing error would widen a list."""
    offered = sorted(known)
    wrong = [name for name in request.query_params if name not in offered]
    if wrong:
        text = f"is no parameter of this list; there are {', '.join(offered)}"
        raise ValidationError({name[:100]: text for name in wrong})


class Search(SearchFilter):
    """``?search=``: every word must be found."""

    def get_search_terms(self, request: Request) -> list[str]:
        """Return the words, or say what is wrong with them."""
        given = request.query_params.get(self.search_param, "")
        if len(given) > SEARCH_CHARS:
            raise ValidationError({self.search_param: f"write at most {SEARCH_CHARS} characters"})
        try:
            return list(super().get_search_terms(request))
        except ValidationError as error:
            raise ValidationError({self.search_param: error.detail}) from None


class Ordering(OrderingFilter):
    """``?ordering=-name``; what a list cannot be ordered by is an error."""

    def remove_invalid_fields(
        self, queryset: QuerySet[Any], fields: Any, view: Any, request: Request
    ) -> list[str]:
        """Return the fields as they are, or say which ones there are."""
        wanted = [field for field in fields if field]
        kept = super().remove_invalid_fields(queryset, wanted, view, request)
        if len(kept) < len(wanted):
            known = [name for name, _ in self.get_valid_fields(queryset, view)]
            offered = f"write one of {', '.join(known)}, with “-” for the other way round"
            text = offered if known else "this list has one order only: leave it out"
            raise ValidationError({self.ordering_param: text})
        # Equal rows in the order of their numbers: no page has one twice, or leaves one out.
        return [*kept, "pk"] if kept else []
