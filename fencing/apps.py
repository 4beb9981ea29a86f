"""Django's name for this app."""

from django.apps import AppConfig


class FencingConfig(AppConfig):
    """The fencing app."""

    name = "fencing"
    default_auto_field = "django.db.models.BigAutoField"
