"""The core app: people, rights, events, settings; it imports no other app."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Label ``portal``: its tables carry the product's name."""

    name = "portal.core"
    label = "portal"
    default_auto_field = "django.db.models.BigAutoField"
