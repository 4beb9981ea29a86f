"""Bodies of the REST API: JSON that any database and any reader takes, or a clear problem."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.parsers import JSONParser
from rest_framework.serializers import ValidationError

from portal.core.problems import Problem

#: Far more than any body of this API needs (policy: 2).
DEPTH = 20


class Json(JSONParser):  # type: ignore[misc,unused-ignore]  # untyped where the stubs are not installed
    """JSON (RFC 8259) in UTF-8: no doubled names, no NaN, nothing nested without end."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the body's value; a :class:`Problem` says what is wrong with it, and the cure."""
        try:
            text = _whole(stream).decode()
            value = json.loads(
                text, object_pairs_hook=_once_each, parse_constant=_constant, parse_float=_float
            )
        except UnicodeDecodeError:
            raise _bad("the body is not UTF-8", "Send the JSON encoded in UTF-8.") from None
        except RecursionError:
            raise _too_deep() from None
        except ValueError as error:
            cure = "Send one JSON object, such as {} or {“name”: “…”}, and nothing after it."
            raise _bad(f"the body is no JSON: {error}", cure) from None
        for path, inner in _texts(value):
            if "\0" in inner or _is_torn(inner):
                fault = "holds a NUL or half a character (\\u0000, \\ud800 …): leave it out"
                raise ValidationError({path.encode(errors="replace").decode(): [fault]})
        return value


def _whole(stream: IO[Any]) -> bytes:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        text = f"the body is longer than {limit} bytes"
        cure = f"Send at most {limit} bytes (DATA_UPLOAD_MAX_MEMORY_SIZE); no field needs more."
        raise Problem(413, "too_large", text, cure=cure, field="body")
    return body


def _bad(text: str, cure: str) -> Problem:
    return Problem(400, "parse_error", text, cure=cure, field="body")


def _too_deep() -> Problem:
    cure = f"Nest lists and objects at most {DEPTH} deep; no field needs more than two."
    return _bad("the body is nested too deep", cure)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says one thing twice: readers differ about which of them counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValidationError({twice[:100]: ["is there twice: send it once"]})
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:40]} is beyond any number")
    return number


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text in ``value`` with the path of its field; names are texts as well."""
    left: list[tuple[str, Any, int]] = [("", value, 0)]
    while left:
        path, item, depth = left.pop()
        if depth > DEPTH:
            raise _too_deep()
        if isinstance(item, str):
            yield path or "body", item
        elif isinstance(item, list):
            left.extend((path, inner, depth + 1) for inner in item)
        elif isinstance(item, dict):
            for name, inner in item.items():
                here = f"{path}.{name}".strip(".")
                yield here[:100] or "body", name
                left.append((here, inner, depth + 1))


def _is_torn(text: str) -> bool:
    """Whether half of a surrogate pair is in it, which UTF-8 cannot say."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
