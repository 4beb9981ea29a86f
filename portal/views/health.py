"""Is it alive, is it ready, and how is everything: for machines, without signing in."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse

from fencing.models import Alert, FenceOperation, HaResource, Incident
from hosts.models import Engine, Host, HostOperation
from hosts.services import engines
from portal.core.models import OPEN_STATES
from portal.lib import clock, secrets
from portal.selfcheck.machine import redis_answers
from vms.models import Vm, VmOperation

#: A sweep runs every second; this much silence means that nobody sweeps.
SWEEP_SILENT = timedelta(seconds=10)


class NotReady(Exception):
    """What is missing, and what to do."""


@login_not_required
def livez(request: HttpRequest) -> HttpResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "reachable"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        raise NotReady(f"{len(missing)} migrations are missing: run manage.py migrate")
    return "all applied"


def _redis() -> str:
    if not redis_answers():
        raise NotReady("Redis gives no answer: start it, or correct HOLDFAST_REDIS")
    return "answers"


def _key_file() -> str:
    path = Path(settings.KEY_FILE)
    try:
        whole = secrets.decrypt(secrets.encrypt("ready", path), path) == "ready"
    except (OSError, ValueError):
        whole = False
    if not whole:
        raise NotReady(f"{path.name} cannot be used: restore the key file from your backup")
    return "loads"


def _sweep() -> str:
    tag = engines.me()
    row = Engine.objects.filter(name=tag.name, epoch=tag.epoch).first()
    if row is None:
        raise NotReady("a newer process of this engine has taken over")
    age = clock.now() - row.beat_at
    if age > SWEEP_SILENT:
        raise NotReady(f"no sweep for {age.total_seconds():.0f} s: look at worker and beat")
    return f"{age.total_seconds():.1f} s ago"


def checks() -> dict[str, Callable[[], str]]:
    """Return the checks of this process by name; the sweep only where an engine is meant to run."""
    found = {
        "database": _database,
        "migrations": _migrations,
        "redis": _redis,
        "key_file": _key_file,
    }
    if os.environ.get("HOLDFAST_EPOCH"):
        found["sweep"] = _sweep
    return found


@login_not_required
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether this process can do its work, check by check; 503 when it cannot."""
    results: dict[str, dict[str, object]] = {}
    for name, check in checks().items():
        try:
            results[name] = {"ok": True, "text": check()}
        except NotReady as error:
            results[name] = {"ok": False, "text": str(error)}
        except DatabaseError:
            results[name] = {"ok": False, "text": "the database gives no answer"}
    ready = all(result["ok"] for result in results.values())
    whole = {"status": "ok" if ready else "not ready", "checks": results}
    return JsonResponse(whole, status=200 if ready else 503)


_OPEN = {"state__in": OPEN_STATES}
_COUNTS = (
    ("holdfast_hosts", "status", Host.objects.all()),
    ("holdfast_vms", "state", Vm.objects.all()),
    ("holdfast_ha_resources", "state", HaResource.objects.all()),
    ("holdfast_alerts_open", "kind", Alert.objects.filter(closed_at__isnull=True)),
    ("holdfast_host_operations_open", "kind", HostOperation.objects.filter(**_OPEN)),
    ("holdfast_vm_operations_open", "kind", VmOperation.objects.filter(**_OPEN)),
    ("holdfast_fence_operations_open", "kind", FenceOperation.objects.filter(**_OPEN)),
)


@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the state of everything as Prometheus text."""
    lines: list[str] = []
    for name, label, rows in _COUNTS:
        lines.append(f"# TYPE {name} gauge")
        counted = rows.order_by().values_list(label).annotate(n=Count("pk")).order_by(label)
        lines += [f'{name}{{{label}="{value}"}} {count}' for value, count in counted]
    open_now = Incident.objects.filter(closed_at__isnull=True).count()
    lines += ["# TYPE holdfast_incidents_open gauge", f"holdfast_incidents_open {open_now}"]
    lines.append("# TYPE holdfast_engine_beat_age_seconds gauge")
    now = clock.now()
    for engine in Engine.objects.order_by("name"):
        age = (now - engine.beat_at).total_seconds()
        lines.append(f'holdfast_engine_beat_age_seconds{{engine="{engine.name}"}} {age:.3f}')
    text = "\n".join(lines) + "\n"
    return HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8")
