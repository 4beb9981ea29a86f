"""All addresses of the portal."""

from django.conf import settings
from django.urls import include, path

from portal.api import refusals
from portal.sim import pages as simulator
from portal.views import (
    account,
    cluster,
    clusters,
    confirm,
    events,
    health,
    host,
    host_add,
    hosts,
    incidents,
    notifications,
    operations,
    pages,
    parts,
    people,
    power,
    search,
    upkeep,
    vm,
    vms,
)

urlpatterns = [
    path("", pages.overview, name="overview"),
    path("parts/<slug:name>/", parts.part, name="part"),
    path("search/", search.search, name="search"),
    path("clusters/", clusters.ClusterList.as_view(), name="clusters"),
    path("clusters/add/", cluster.add, name="cluster-add"),
    path("clusters/<int:pk>/", cluster.cluster, name="cluster"),
    path("hosts/", hosts.HostList.as_view(), name="hosts"),
    path("hosts/add/", host_add.add, name="host-add"),
    path("hosts/<int:pk>/", host.host, name="host"),
    path("hosts/<int:pk>/what-if/", host.what_if, name="host-what-if-part"),
    path("hosts/<int:pk>/policy/", host.policy, name="host-policy"),
    path("hosts/<int:pk>/removal/", host.removal, name="host-removal-dialog"),
    path("hosts/<int:pk>/power-controllers/add/", power.add, name="power-controller-add"),
    path("vms/", vms.VmList.as_view(), name="vms"),
    path("vms/bulk/", vm.bulk, name="vms-bulk"),
    path("vms/<int:pk>/removal/", vm.removal, name="vm-removal-dialog"),
    path("vms/<int:pk>/", vm.vm, name="vm"),
    path("power-controllers/", power.ControllerList.as_view(), name="power-controllers"),
    path("power-controllers/<int:pk>/", power.controller, name="power-controller"),
    path("operations/", operations.operations, name="operations"),
    path("operations/<slug:slug>/", operations.operation, name="operation"),
    path("events/", events.events, name="events"),
    path("events/<int:pk>/", events.event, name="event"),
    path("incidents/", incidents.IncidentList.as_view(), name="incidents"),
    path("incidents/<int:pk>/", pages.incident, name="incident"),
    path("incidents/<int:pk>/part/", pages.incident_part, name="incident-part"),
    path("hosts/<int:pk>/confirm-rebooted/", confirm.confirm_rebooted, name="confirm-rebooted"),
    path("notifications/", notifications.notifications, name="notifications"),
    path("notifications/add/", notifications.add, name="notification-add"),
    path("notifications/<int:pk>/", notifications.target, name="notification-target"),
    path("self-check/", upkeep.self_check, name="self-check-page"),
    path("policy/", upkeep.policy, name="global-policy"),
    path("simulator/", simulator.listed, name="simulator"),
    path("simulator/<slug:name>/", simulator.scenario, name="scenario"),
    path("users/", people.UserList.as_view(), name="users"),
    path("users/add/", people.user_add, name="user-add"),
    path("users/<int:pk>/", people.user, name="user"),
    path("tokens/", people.tokens, name="tokens"),
    *account.urlpatterns,
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("api/v1/", include("portal.sim.api_urls")),
    path("api/", include("portal.api.routes")),
]
if settings.DEMO_DIR:
    urlpatterns.append(path("demo/", include("portal.demo.urls")))

handler400 = refusals.bad_request
handler403 = pages.forbidden
handler404 = pages.missing
handler429 = pages.too_many  # asked for by django-allauth
handler500 = pages.broken
