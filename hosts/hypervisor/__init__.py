"""Which adapter talks to a host; one instance for each host in this process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.utils.module_loading import import_string

from hosts.domain.uri import BadHostUri, parse_uri
from hosts.hypervisor.port import BadUri, Hint, Hypervisor, Target

__all__ = ["forget", "hypervisor_for", "install", "passing", "set_hint"]

Factory = Callable[[Target], Hypervisor]


class _Kept:
    """The instances of this process, and what tests and the simulator put in their place."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_host: dict[int, tuple[Target, Hypervisor]] = {}
        self.factory: Factory | None = None
        self.hint: Hint | None = None


_KEPT = _Kept()


def hypervisor_for(target: Target) -> Hypervisor:
    """Return the adapter for ``target``, the same one until its URI or name changes.

    Raises :class:`BadUri` for a URI that may not be opened; opens nothing itself.
    """
    factory = _KEPT.factory
    if factory is not None:
        return factory(target)
    wanted = _canonical(target)
    with _KEPT.lock:
        target_before, kept = _KEPT.by_host.get(target.host_id, (None, None))
        if kept is not None and target_before == wanted:
            return kept
        made = _build(wanted, _tell)
        _KEPT.by_host[target.host_id] = (wanted, made)
    if kept is not None:
        kept.close()
    return made


@contextmanager
def passing(target: Target) -> Iterator[Hypervisor]:
    """Lend an adapter for a few questions to a machine that is no host here yet."""
    factory = _KEPT.factory
    made = factory(target) if factory is not None else _build(_canonical(target), None)
    try:
        yield made
    finally:
        made.close()


def _canonical(target: Target) -> Target:
    try:
        uri = parse_uri(target.uri, settings.HYPERVISORS)
    except BadHostUri as error:
        raise BadUri(f"{target.name}: {error}") from None
    return Target(target.host_id, target.name, uri)


def _build(target: Target, hint: Hint | None) -> Hypervisor:
    adapter = import_string(settings.HYPERVISORS[target.uri.partition(":")[0]])
    made: Hypervisor = adapter(target, hint=hint)
    return made


def forget(host_id: int) -> None:
    """Close this process's connection to a host that is looked after no more."""
    with _KEPT.lock:
        _, kept = _KEPT.by_host.pop(host_id, (None, None))
    if kept is not None:
        kept.close()


def install(factory: Factory | None) -> None:
    """Let ``factory`` answer for every target; None brings the real adapters back, closed."""
    with _KEPT.lock:
        _KEPT.factory = factory
        old, _KEPT.by_host = _KEPT.by_host, {}
    for _, hypervisor in old.values():
        hypervisor.close()


def set_hint(hint: Hint | None) -> None:
    """Call ``hint`` with a host's id when its connection breaks or one of its guests changes."""
    _KEPT.hint = hint


def _tell(host_id: int) -> None:
    hint = _KEPT.hint
    if hint is not None:
        hint(host_id)
