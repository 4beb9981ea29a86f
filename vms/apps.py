"""Django's name for this app."""

from django.apps import AppConfig


class VmsConfig(AppConfig):
    """The vms app."""

    name = "vms"
    default_auto_field = "django.db.models.BigAutoField"
