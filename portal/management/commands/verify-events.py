"""manage.py verify-events: read the whole chain of events and check every seal."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.cli import checks
from portal.core.models import Event
from portal.core.services import broken_seal


class Command(BaseCommand):
    """Says whether the history is as it was written."""

    help = "Check the seal of every event; the first that does not fit is named."

    def handle(self, *args: Any, **options: Any) -> None:
        """Read all events once, in order."""
        checks.portal()
        broken = broken_seal()
        if broken is not None:
            raise CommandError(f"event {broken} is not as it was written, or follows one that was")
        self.stdout.write(f"{Event.objects.count()} events, every seal fits")
