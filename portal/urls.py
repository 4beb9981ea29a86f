"""All addresses of the portal."""

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from portal.api import refusals
from portal.views import confirm, health, pages, parts

urlpatterns = [
    path("", pages.overview, name="overview"),
    path("parts/operation/<slug:slug>/", pages.operation, name="part-operation"),
    path("parts/<slug:name>/", parts.part, name="part"),
    path("incidents/<int:pk>/", pages.incident, name="incident"),
    path("incidents/<int:pk>/part/", pages.incident_part, name="incident-part"),
    path("hosts/<int:pk>/confirm-rebooted/", confirm.confirm_rebooted, name="confirm-rebooted"),
    path("sign-in/", LoginView.as_view(template_name="sign_in.html"), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("password/", pages.NewPassword.as_view(), name="password"),
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
handler500 = pages.broken
