"""Which HA providers this installation has: the house's own, and those of entry points.

A distribution offers one under ``holdfast.ha_providers`` (docs/providers.md).  What
cannot be used is listed with the reason, and never stops the portal.
"""

import functools
import logging
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from portal.lib.ha.provider import Capability, HaProvider

GROUP = "holdfast.ha_providers"
#: Kinds that only providers of the house know: their rows hang on hosts and VMs.
OWN_KINDS = frozenset({"host", "vm"})
_QUESTIONS = ("is_eligible", "is_healthy", "has_activity", "recover", "fence")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """A provider, or what is wrong with it."""

    name: str
    source: str
    provider: HaProvider | None = None
    why_not: str = ""
    kinds: tuple[str, ...] = ()
    capabilities: frozenset[Capability] = frozenset()
    options: dict[str, str] = field(default_factory=dict)


@functools.cache
def known() -> dict[str, Known]:
    """Return every provider by name; read once in the life of a process."""
    found = {
        name: _examined(name, "built in", partial(_imported, where))
        for name, where in settings.HA_PROVIDERS.items()
    }
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if point.name in found:
            log.warning("HA provider %s is there twice: %s is not used", point.name, point.value)
            continue
        found[point.name] = _examined(point.name, _source(point), partial(_made, point))
    return found


def _imported(where: str) -> Any:
    return import_string(where)()


def _made(point: EntryPoint) -> Any:
    return point.load()()


def _source(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def provider_named(name: str) -> HaProvider | None:
    """Return a provider that can be used, or None."""
    entry = known().get(name)
    return entry.provider if entry else None


def _examined(name: str, source: str, load: Any) -> Known:
    """Load a provider and check its form: it is somebody else's code."""
    try:
        provider = load()
        wrong = _wrong_with(name, provider, built_in=source == "built in")
    except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises is told, not passed on
        provider, wrong = None, f"it does not load: {type(error).__name__}: {error}"
    if wrong:
        log.warning("HA provider %s of %s is not used: %s", name, source, wrong)
        return Known(name, source, why_not=wrong)
    kinds, able = tuple(provider.kinds), frozenset(provider.capabilities)
    return Known(name, source, provider, "", kinds, able, dict(provider.options))


def _wrong_with(name: str, provider: Any, *, built_in: bool) -> str:
    if provider.name != name:
        return f"it calls itself {provider.name!r}: the entry point must have the same name"
    missing = [word for word in _QUESTIONS if not callable(getattr(provider, word, None))]
    if missing:
        return f"it lacks {', '.join(missing)}"
    if not provider.kinds or not all(isinstance(kind, str) and kind for kind in provider.kinds):
        return "its kinds must be a tuple of names, at least one"
    if not built_in and OWN_KINDS & set(provider.kinds):
        return f"the kinds {', '.join(sorted(OWN_KINDS))} belong to the portal: name another"
    if not all(isinstance(item, Capability) for item in provider.capabilities):
        return f"its capabilities must be of {', '.join(Capability)}"
    return ""
