"""Wiring: the part of the portal that may import every app."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Loads Celery's app, so that every process sends to the right broker."""

    name = "portal"
    label = "wiring"

    def ready(self) -> None:
        # Without this a request thread would silently talk to amqp://localhost.
        from portal import celery  # noqa: F401, PLC0415 - imported for its effect, once apps are ready
        from portal.accounts import events  # noqa: F401, PLC0415 - as above: it listens to signals
