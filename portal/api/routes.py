"""Addresses under ``/api/``."""

from csp.decorators import csp_update
from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.cache import cache_page
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from fencing.api.ha import (
    ConfigureHaView,
    DisableHaView,
    EnableHaView,
    HaProvidersView,
    HaResourceViewSet,
    HaScopeView,
)
from fencing.api.hosts import ClusterViewSet, HostViewSet, VmViewSet
from fencing.api.incidents import AlertViewSet, EventViewSet, IncidentViewSet
from fencing.api.policy import GlobalPolicyView, PolicyView
from fencing.api.power import ControllerViewSet
from fencing.api.trials import HostTrial, PowerTrial, Preflight
from portal.api.affinity import AffinityViewSet
from portal.api.bindings import BindingViewSet
from portal.api.engines import EngineViewSet
from portal.api.notifications import DeliveryViewSet, TargetViewSet
from portal.api.operations import OperationViewSet
from portal.api.self_check import SelfCheckView
from portal.api.tokens import TokenViewSet
from portal.api.users import UserViewSet
from vms.api import ProofViewSet, RunViewSet

#: Describing the whole API takes a second of one core: anybody may ask for it.
SCHEMA_KEPT_S = 60

router = SimpleRouter()
router.register("clusters", ClusterViewSet, basename="cluster")
router.register("hosts", HostViewSet, basename="host")
router.register("power-controllers", ControllerViewSet, basename="power-controller")
router.register("ha-resources", HaResourceViewSet, basename="ha-resource")
router.register("vms", VmViewSet, basename="vm")
router.register("affinity-rules", AffinityViewSet, basename="affinity-rule")
router.register("runs", RunViewSet, basename="run")
router.register("proofs", ProofViewSet, basename="proof")
router.register("incidents", IncidentViewSet, basename="incident")
router.register("alerts", AlertViewSet, basename="alert")
router.register("events", EventViewSet, basename="event")
router.register("operations", OperationViewSet, basename="operation")
router.register("engines", EngineViewSet, basename="engine")
router.register("users", UserViewSet, basename="user")
router.register("role-bindings", BindingViewSet, basename="role-binding")
router.register("notification-targets", TargetViewSet, basename="notification-target")
router.register("deliveries", DeliveryViewSet, basename="delivery")
router.register("tokens", TokenViewSet, basename="token")

# The one page that needs inline style: the documentation's own.
_docs = csp_update({"style-src": ["'unsafe-inline'"]})(
    SpectacularSwaggerSplitView.as_view(url_name="schema")
)

_others: list[URLPattern | URLResolver] = [
    path("policy/", PolicyView.as_view(), name="policy"),
    path("trials/host/", HostTrial.as_view(), name="trial-host"),
    path("trials/power/", PowerTrial.as_view(), name="trial-power"),
    path("preflight/", Preflight.as_view(), name="preflight"),
    path("self-check/", SelfCheckView.as_view(), name="self-check"),
    path("ha-providers/", HaProvidersView.as_view(), name="ha-providers"),
    path("settings/ha/", HaScopeView.as_view(), name="settings-ha"),
    path("settings/ha/actions/enable-ha/", EnableHaView.as_view(), name="settings-ha-enable"),
    path("settings/ha/actions/disable-ha/", DisableHaView.as_view(), name="settings-ha-disable"),
    path("settings/ha/actions/configure/", ConfigureHaView.as_view(), name="settings-ha-configure"),
    path("settings/policy/", GlobalPolicyView.as_view(), name="settings-policy"),
]

if settings.DEMO_DIR:
    _others.append(path("", include("portal.demo.api_urls")))

urlpatterns = [
    path("v1/", include([*router.urls, *_others])),
    path("schema/", cache_page(SCHEMA_KEPT_S)(SpectacularAPIView.as_view()), name="schema"),
    path("docs/", _docs, name="docs"),
]
