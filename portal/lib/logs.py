"""What the log does not need to hold."""

import logging

from django.core.exceptions import PermissionDenied, SuspiciousOperation

_WEB_SERVER = "uvicorn.error"
#: Who tells of refusals; each kind of a request that is not in order has a name of its own.
LOGGERS = (
    "django.request",
    "django.security.DisallowedHost",
    "django.security.RequestDataTooBig",
    "django.security.SuspiciousOperation",
    "django.security.TooManyFieldsSent",
    _WEB_SERVER,
)


def shorten_refusal(record: logging.LogRecord) -> bool:
    """Keep a refusal as one line: its traceback leads to no fault, and anybody can cause it."""
    error = record.exc_info[1] if record.exc_info else None
    # The web server says so of a frame that is not UTF-8; elsewhere it is a fault.
    frame = record.name == _WEB_SERVER and isinstance(error, UnicodeDecodeError)
    if frame or isinstance(error, PermissionDenied | SuspiciousOperation):
        record.exc_info = None
    return True
