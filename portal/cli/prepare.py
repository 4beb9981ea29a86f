"""What must be true before the processes start: tables, static files, an engine, a person."""

import hashlib
import secrets
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from fencing.services import restored
from hosts.models import Host
from hosts.services import engines
from portal.core.models import Role, RoleBinding, User
from portal.lib import clock
from portal.lib.starting import CannotStart


def tables() -> None:
    """Bring the tables up to date, if they are not."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)


def static_files() -> None:
    """Collect static files when any of them changed since the last time."""
    stamp = Path(settings.STATIC_ROOT) / ".stamp"
    digest = hashlib.sha256()
    for folder in settings.STATICFILES_DIRS:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                facts = path.stat()
                digest.update(f"{path} {facts.st_size} {facts.st_mtime_ns}".encode())
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    call_command("collectstatic", verbosity=0, interactive=False)
    stamp.write_text(digest.hexdigest())


def administrator() -> str:
    """Make the first administrator; return the one-time password, or "" when there is one."""
    if User.objects.filter(is_superuser=True).exists():
        return ""
    password = secrets.token_urlsafe(12)
    user = User.objects.create_superuser("admin", password=password)
    User.objects.filter(pk=user.pk).update(must_change_password=True)
    RoleBinding.objects.get_or_create(user=user, scope_type="all", defaults={"role": Role.ADMIN})
    return password


def refuse_demo_hosts() -> None:
    """Raise when the database holds a host of the demo: its box is not here."""
    fake = Host.everything.filter(uri__startswith="test+").first()
    if fake is not None:
        raise CannotStart(
            f"This database holds a host of the demo ({fake.name}): run 'manage.py demo', "
            "or set HOLDFAST_VAR or DATABASE_URL to a database for real hosts."
        )


def join() -> int:
    """Start a new epoch of this engine; older claims are void, and an old backup is noticed."""
    restored.check(clock.now())
    return engines.join(settings.ENGINE_NAME, clock.now()).epoch
