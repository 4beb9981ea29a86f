"""manage.py up: run one engine of the portal until Ctrl-C."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.cli import prepare
from portal.cli.up import CannotStart, Supervisor, check_place, lock


class Command(BaseCommand):
    """Start web, workers, beat and a private Redis, and keep them alive."""

    help = "Run the portal: web, workers, beat and a private Redis, supervised."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until Ctrl-C; a reason not to start is one sentence."""
        try:
            handle = lock(settings.VAR)
            supervisor = make_supervisor()
        except CannotStart as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Holdfast is starting on {settings.BASE_URL}")
        password = prepare.administrator()
        if password:
            self.stdout.write(f"Sign in as admin, one-time password: {password}")
        supervisor.run_forever()
        handle.close()


def make_supervisor() -> Supervisor:
    """Prepare database and static files, and return the supervisor, ready to run."""
    with_redis = settings.REDIS_URL.startswith(f"unix://{settings.VAR}")
    check_place(settings.BASE_URL, with_redis=with_redis)
    prepare.tables()
    prepare.refuse_demo_hosts()
    prepare.static_files()
    supervisor = Supervisor(settings.VAR, settings.ENGINE_NAME, settings.BASE_URL, prepare.join())
    supervisor.add_portal(with_redis=with_redis)
    return supervisor
