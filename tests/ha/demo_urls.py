"""The portal's addresses as they are while it runs on the box."""

from django.urls import include, path

from portal.urls import handler400, handler403, handler404, handler500
from portal.urls import urlpatterns as usual

__all__ = ["handler400", "handler403", "handler404", "handler500"]

urlpatterns = [*usual, path("api/v1/", include("portal.demo.api_urls"))]
