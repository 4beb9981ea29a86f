"""What the log does not need to hold."""

import logging

from django.core.exceptions import PermissionDenied


def shorten_refusal(record: logging.LogRecord) -> bool:
    """Keep a refusal as one line: its traceback leads to no fault, and anybody can cause it."""
    if record.exc_info and isinstance(record.exc_info[1], PermissionDenied):
        record.exc_info = None
    return True
