"""Addresses of the simulator under ``/api/v1/``."""

from django.urls import path

from portal.sim.api import ScenariosView, ScenarioView

urlpatterns = [
    path("simulator/scenarios/", ScenariosView.as_view(), name="simulator-scenarios"),
    path("simulator/scenarios/<slug:name>/", ScenarioView.as_view(), name="simulator-scenario"),
]
