#!/usr/bin/env python3
"""The command line of the portal; see README for the commands that matter."""

import os
import sys


def main() -> None:
    """Run one command; a folder that cannot be written is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.conf import settings  # noqa: PLC0415 - the settings module must be named first
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - as above

    try:
        settings.configured or settings.VAR  # noqa: B018 - reads the settings, which write keys
    except OSError as error:
        sys.exit(
            f"The data folder cannot be written ({error.strerror}): "
            "set HOLDFAST_VAR to a folder that can."
        )
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
