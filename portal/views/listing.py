"""Lists: searched, filtered, ordered and paged by their URL, which can be kept and sent.

A list is declared (columns, facets, rows) and rendered by ``templates/list.html``;
its table is fetched again alone when something in it has changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import View

from portal.core.filtering import SEARCH_CHARS
from portal.core.permissions import Scopes
from portal.views.access import is_narrow, may_see
from portal.views.rendering import is_part

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``order`` is the field that it is ordered by, if it can be."""

    name: str
    title: str
    order: str = ""
    usual: bool = True  # shown unless the URL says otherwise
    number: bool = False


@dataclass(frozen=True, slots=True)
class Facet:
    """One filter offered as a choice: a parameter of the list's filter set."""

    name: str
    title: str
    choices: Callable[[Scopes], Sequence[tuple[str, str]]]


def query(request: HttpRequest, **changes: object) -> str:
    """Return the URL's query with ``changes``; None takes a parameter away."""
    kept = {name: request.GET.getlist(name) for name in request.GET if name not in changes}
    new = {name: str(value) for name, value in changes.items() if value not in (None, "")}
    return "?" + urlencode(kept | new, doseq=True)


class Listing(View):
    """A page that lists one kind of thing."""

    title: ClassVar[str]
    icon: ClassVar[str]
    row_template: ClassVar[str]
    live_types: ClassVar[str]
    live_every: ClassVar[int] = 15
    filters: ClassVar[Any]
    columns: ClassVar[tuple[Column, ...]]
    facets: ClassVar[tuple[Facet, ...]] = ()
    #: Fields in which words are found; “^” before one: at its beginning only, as in the API.
    search_in: ClassVar[tuple[str, ...]] = ()
    usual_order: ClassVar[str]
    #: What the empty list says, and a template with the one action to take.
    nothing: ClassVar[str]
    actions_template: ClassVar[str] = ""
    bulk: ClassVar[bool] = False

    def rows(self, scopes: Scopes) -> QuerySet[Any]:
        """Return all rows that the person may see."""
        raise NotImplementedError

    def dress(self, rows: list[Any]) -> None:
        """Give the rows of a page what their template shows beyond their columns."""

    def more(self, scopes: Scopes) -> dict[str, Any]:
        """Return more for the page's template."""
        return {}

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the whole page, or its table alone."""
        scopes = may_see(request)
        found, notes = self.narrowed(self.rows(scopes))
        page = Paginator(self.ordered(found), PAGE_SIZE).get_page(request.GET.get("page"))
        rows = list(page.object_list)
        self.dress(rows)
        context = self.table(page, rows) | {"notes": notes, "narrow": is_narrow(scopes)}
        if is_part(request):
            return render(request, "parts/list.html", context)
        return render(request, "list.html", context | self.frame(scopes) | self.more(scopes))

    # ---- which rows ---------------------------------------------------------------------
    def narrowed(self, rows: QuerySet[Any]) -> tuple[QuerySet[Any], list[str]]:
        """Return the rows that search and filters leave, and what was wrong with those."""
        chosen = self.filters(self.request.GET, queryset=rows)
        notes = [
            f"{name}: {'; '.join(map(str, texts))}. The list is shown without it."
            for name, texts in chosen.errors.items()
        ]
        found = rows if notes else chosen.qs
        return found.filter(self._matching()), notes

    def _matching(self) -> Q:
        """Return the filter for rows in which every word of the search is found."""
        every = Q()
        for word in self.request.GET.get("search", "")[:SEARCH_CHARS].replace("\0", "").split():
            some = Q()
            for field in self.search_in:
                how = "istartswith" if field.startswith("^") else "icontains"
                some |= Q(**{f"{field.removeprefix('^')}__{how}": word})
            every &= some
        return every

    @property
    def ordering(self) -> str:
        """Return the order asked for, or the usual one."""
        wanted = self.request.GET.get("ordering", "")
        known = {column.order for column in self.columns if column.order}
        return wanted if wanted.removeprefix("-") in known else self.usual_order

    def ordered(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows in order; equal ones by their number, so that no page has one twice."""
        return rows.order_by(self.ordering, "pk")

    # ---- what the templates need --------------------------------------------------------
    def shown(self) -> list[str]:
        """Return the names of the columns that are shown; the first one always is."""
        wanted = self.request.GET.getlist("columns")
        known = [column.name for column in self.columns]
        chosen = [name for name in known if name in wanted or name == known[0]]
        usual = [column.name for column in self.columns if column.usual]
        return chosen if wanted and len(chosen) > 1 else usual

    def table(self, page: Page[Any], rows: list[Model]) -> dict[str, Any]:
        """Return the context of the table."""
        shown = self.shown()
        heads = [self._head(column) for column in self.columns if column.name in shown]
        narrowed = any(self.request.GET.get(name) for name in self._narrowing())
        return {
            "listing": self,
            "page": page,
            "rows": rows,
            "shown": shown,
            "heads": heads,
            "narrowed": narrowed,
            "first_page": query(self.request, page=None),
            "before": query(self.request, page=page.number - 1),
            "after": query(self.request, page=page.number + 1),
            "last_page": query(self.request, page=page.paginator.num_pages),
        }

    def _head(self, column: Column) -> dict[str, Any]:
        down = self.ordering == f"-{column.order}"
        by_this = bool(column.order) and self.ordering.removeprefix("-") == column.order
        turned = column.order if down or not by_this else f"-{column.order}"
        return {
            "column": column,
            "sort": ("descending" if down else "ascending") if by_this else "",
            "link": query(self.request, ordering=turned, page=None) if column.order else "",
        }

    def _narrowing(self) -> list[str]:
        return ["search", *self.filters.base_filters]

    def frame(self, scopes: Scopes) -> dict[str, Any]:
        """Return the context of what stands above the table."""
        asked = self.request.GET
        offered = []
        for facet in self.facets:
            given = asked.get(facet.name, "")
            offered.append({"facet": facet, "given": given, "choices": facet.choices(scopes)})
        named = {facet.name for facet in self.facets}
        others = [
            {"name": name, "value": asked[name], "without": query(self.request, **{name: None})}
            for name in self.filters.base_filters
            if asked.get(name) and name not in named
        ]
        return {
            "search": asked.get("search", ""),
            "facets": offered,
            "other_filters": others,
            "offered_columns": self.columns,
            "here": self.request.get_full_path(),
        }


def words_of(choices: Any) -> Callable[[Scopes], Sequence[tuple[str, str]]]:
    """Return the choices of an enum for a facet, the same for everybody."""
    made = [(str(item.value), str(item.value).replace("_", " ")) for item in choices]
    return lambda scopes: made


def yes_or_no(yes: str, no: str) -> Callable[[Scopes], Sequence[tuple[str, str]]]:
    """Return the choices of a yes-or-no filter."""
    return lambda scopes: [("true", yes), ("false", no)]
