"""The demo as a Django app; installed only when ``HOLDFAST_DEMO`` names its folder."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """The data centre in a box."""

    name = "portal.demo"
    label = "demo"
