"""All addresses of the portal."""

from django.conf import settings
from django.urls import include, path

from portal.api import refusals
from portal.views import account, confirm, health, pages, parts

urlpatterns = [
    path("", pages.overview, name="overview"),
    path("parts/operation/<slug:slug>/", pages.operation, name="part-operation"),
    path("parts/<slug:name>/", parts.part, name="part"),
    path("incidents/<int:pk>/", pages.incident, name="incident"),
    path("incidents/<int:pk>/part/", pages.incident_part, name="incident-part"),
    path("hosts/<int:pk>/confirm-rebooted/", confirm.confirm_rebooted, name="confirm-rebooted"),
    *account.urlpatterns,
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("api/", include("portal.api.routes")),
]
if settings.DEMO_DIR:
    urlpatterns.append(path("demo/", include("portal.demo.urls")))

handler400 = refusals.bad_request
handler403 = pages.forbidden
handler404 = pages.missing
handler429 = pages.too_many  # asked for by django-allauth
handler500 = pages.broken
