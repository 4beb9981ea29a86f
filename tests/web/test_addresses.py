"""The addresses of pages and of the API, side by side."""

from typing import Any

from django.urls import URLResolver

from portal.urls import urlpatterns


def test_no_page_shares_its_name_with_a_route_of_the_api() -> None:
    """``{% url %}`` takes the last of two: a page would load JSON where it wants a part."""
    lists: list[list[Any]] = [urlpatterns]
    names: dict[str, set[str]] = {"page": set(), "api": set()}
    for item in (found for listed in lists for found in listed):
        if isinstance(item, URLResolver):
            lists.append(item.url_patterns)
        else:
            names["page" if item in urlpatterns else "api"].add(item.name)
    assert len(names["api"]) > 50
    assert not names["page"] & names["api"]
