"""Addresses under ``/api/v1/`` that exist only while the portal runs on the box."""

from django.urls import path

from portal.demo.api import SimulatorView

urlpatterns = [
    path("simulator-providers/", SimulatorView.as_view(), name="simulator-providers"),
]
