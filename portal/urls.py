"""All addresses of the portal."""

from django.urls import include, path

urlpatterns = [
    path("api/", include("portal.api.routes")),
]
