"""manage.py demo: the data centre in a box, and the portal in front of it."""

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Run the box and the portal together until Ctrl-C."""

    help = "Run a data centre in a box (3 hosts, 3 BMCs, 6 VMs) and the portal over it."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Start again with the demo's settings, or run when they are in force."""
        if not settings.DEMO_DIR:
            folder = Path(os.environ.get("HOLDFAST_VAR") or settings.BASE_DIR / "demo")
            env = {
                **os.environ,
                "HOLDFAST_VAR": str(folder),
                "HOLDFAST_DEMO": str(folder / "box"),
            }
            manage = str(settings.BASE_DIR / "manage.py")
            os.execve(sys.executable, [sys.executable, manage, "demo"], env)  # noqa: S606 - the same program, with the demo's settings
        from portal.demo.run import run_demo  # noqa: PLC0415 - exists only with the demo's settings

        run_demo(self.stdout.write)
