"""Names of addresses: a page and an endpoint of one name would lead to either by chance."""

from collections import Counter
from typing import Any

from django.urls import URLPattern, get_resolver


def _names(patterns: Any) -> list[str]:
    found: list[str] = []
    for item in patterns:
        if isinstance(item, URLPattern):
            found += [f"{item.name}"] if item.name else []
        else:
            found += _names(item.url_patterns)
    return found


def test_every_address_has_a_name_of_its_own() -> None:
    counted = Counter(_names(get_resolver().url_patterns))
    assert [name for name, count in counted.items() if count > 1] == []
