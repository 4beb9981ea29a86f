"""manage.py ha-diagram: write docs/ha-states.md from the table of HA states."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from portal.lib.ha.diagram import document


class Command(BaseCommand):
    """Write the diagram and the table of HA states."""

    help = "Write docs/ha-states.md from the table of HA states."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the document anew."""
        target = Path(settings.BASE_DIR) / "docs" / "ha-states.md"
        target.write_text(document())
        self.stdout.write(f"{target.name} is written")
