"""manage.py up: run one engine of the portal until Ctrl-C."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from portal.cli import prepare
from portal.cli.checks import lock, surroundings
from portal.cli.up import Supervisor


class Command(BaseCommand):
    """Start web, workers, beat and a private Redis, and keep them alive."""

    help = "Run the portal: web, workers, beat and a private Redis, supervised."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until Ctrl-C; a reason not to start is one sentence."""
        handle = lock(settings.VAR)
        supervisor = make_supervisor()
        self.stdout.write(f"Holdfast is starting on {settings.BASE_URL}")
        password = prepare.administrator()
        if password:
            self.stdout.write(f"Sign in as admin, one-time password: {password}")
        supervisor.run_forever()
        handle.close()


def make_supervisor() -> Supervisor:
    """Prepare database and static files, and return the supervisor, ready to run."""
    surroundings()
    prepare.tables()
    prepare.refuse_demo_hosts()
    prepare.static_files()
    supervisor = Supervisor(settings.VAR, settings.ENGINE_NAME, settings.LISTEN, prepare.join())
    supervisor.add_portal(with_redis=settings.REDIS_URL == settings.OWN_REDIS)
    return supervisor
