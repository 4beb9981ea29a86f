"""Settings of the process: where things are and how strict to be.

Everything about high availability is policy and lives in the database
(``fencing/domain/policy.py``); this file only reads the environment file.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

from portal.lib import existing, starting
from portal.lib.logs import LOGGERS, shorten_refusal
from portal.lib.secrets import ensure_key_file, ensure_secret
from portal.lib.starting import given, setting

BASE_DIR = Path(__file__).resolve().parent.parent

#: The folder for everything that the portal writes: database, keys, sockets, logs.
VAR = setting("HOLDFAST_VAR", starting.folder, BASE_DIR / "var")
with starting.usable("HOLDFAST_VAR", f"The data folder {VAR}"):
    VAR.exists()  # a name that is too long is told as such
starting.read_file(VAR / "holdfast.env")
_DATABASE: dict[str, Any] = setting(
    "DATABASE_URL",
    starting.database,
    {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR / "portal.sqlite3")},
    secret=True,
)
#: Where a command about a portal finds none, nothing is made: it was meant for another folder.
_MISSING = existing.is_missing(sys.argv, _DATABASE)
if not _MISSING:
    with starting.usable("HOLDFAST_VAR", f"The data folder {VAR}"):
        VAR.mkdir(parents=True, exist_ok=True, mode=0o700)

#: The stories that the simulator's page plays; an installation may lack them.
SCENARIOS = BASE_DIR / "tests" / "scenarios"

#: The data centre in a box; empty in production.
DEMO_DIR = given("HOLDFAST_DEMO")

DEBUG = setting("HOLDFAST_DEBUG", starting.flag, default=False)
TESTING = "pytest" in sys.modules
with starting.usable("HOLDFAST_VAR", f"The data folder {VAR}"):
    SECRET_KEY = given("HOLDFAST_SECRET_KEY") or (
        "signs nothing" if _MISSING else ensure_secret(VAR / "secret.key")
    )
#: Fernet keys, one per line, newest first; outside the database on purpose.
KEY_FILE = setting("HOLDFAST_KEY_FILE", starting.file_in_a_folder, VAR / "vault.keys")
if not _MISSING:
    with starting.usable("HOLDFAST_KEY_FILE", f"The key file {KEY_FILE}"):
        ensure_key_file(KEY_FILE)
BASE_URL = setting("HOLDFAST_BASE_URL", starting.base_url, "http://127.0.0.1:8443")
#: Where the web server listens; not where BASE_URL says when a proxy speaks TLS for it.
LISTEN = setting("HOLDFAST_LISTEN", starting.listen, starting.listen_by_default(BASE_URL))
ALLOWED_HOSTS = setting(
    "HOLDFAST_ALLOWED_HOSTS", starting.hosts, starting.hosts_by_default(BASE_URL)
)
ENGINE_NAME = setting("HOLDFAST_ENGINE", starting.engine, "engine1")

#: Where notifications by mail are handed in; None: this portal sends no mail.
MAIL_SERVER: dict[str, Any] | None = setting(
    "HOLDFAST_SMTP_URL", starting.mail_server, None, secret=True
)
MAIL_FROM = setting(
    "HOLDFAST_MAIL_FROM", starting.mail_address, starting.mail_address_by_default(BASE_URL)
)

HTTPS = BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = setting("HOLDFAST_SSL_REDIRECT", starting.flag, default=HTTPS)
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
CSRF_TRUSTED_ORIGINS = [BASE_URL]
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "csp",
    "channels",
    "portal.core.apps.CoreConfig",
    "portal.apps.PortalConfig",
    "hosts",
    "vms",
    "fencing",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "portal.core.slashes.Slashes",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.accounts.gate.Gate",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
APPEND_SLASH = True
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.views.chrome.chrome",
            ],
        },
    }
]

DATABASES = {"default": _DATABASE}
_DATABASE.setdefault("OPTIONS", {})  # holds sslmode and the like, where the address has them
if _DATABASE["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a transaction that will write takes its turn at once instead of
    # failing half way; FULL: a proof that was recorded survives a power cut.
    _DATABASE["OPTIONS"] |= {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;",
    }
else:
    # Persistent connections leak under ASGI; a pool does not.
    _DATABASE["OPTIONS"] |= {"pool": {"min_size": 1, "max_size": 8, "timeout": 5}}
    _DATABASE |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Only now is the environment file read.
from portal.settings_sign_in import *  # noqa: E402, F403 - Django wants all names in one module
from portal.settings_sign_in import SIGN_IN_APPS  # noqa: E402 - as above

INSTALLED_APPS += SIGN_IN_APPS

KNOX_TOKEN_MODEL = "portal.ApiToken"
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=90),
    "AUTO_REFRESH": False,
    "TOKEN_LIMIT_PER_USER": None,
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_MODEL": "portal.ApiToken",
}
REST_FRAMEWORK = {
    # Tokens first, so that a caller without credentials is told 401, not 403.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "portal.core.browsers.BrowserSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["portal.core.permissions.ByRole"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.OrderingFilter",
        "rest_framework.filters.SearchFilter",
    ],
    "DEFAULT_PAGINATION_CLASS": "portal.core.pagination.Pages",
    "DEFAULT_SCHEMA_CLASS": "portal.core.openapi.Documented",
    "EXCEPTION_HANDLER": "portal.core.problems.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,  # a parameter of lists like any other, where one has it
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Holdfast",
    "DESCRIPTION": (BASE_DIR / "docs" / "api.md").read_text(),
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Enums stay where they are used: five tables have a "state", each its own.
    "POSTPROCESSING_HOOKS": [],
}

#: Where Redis is; a wake-up and a push, never a truth.
OWN_REDIS = f"unix://{VAR}/run/redis.sock"
REDIS_URL = setting("HOLDFAST_REDIS", starting.redis_url, OWN_REDIS, secret=True)
_UNIX = REDIS_URL.startswith("unix://")
CELERY_BROKER_URL = (
    f"redis+socket://{REDIS_URL.removeprefix('unix://')}?virtual_host=1" if _UNIX else REDIS_URL
)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer"
        if TESTING
        else "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {}
        if TESTING
        else {"hosts": [f"{REDIS_URL}?db=2" if _UNIX else REDIS_URL], "prefix": "holdfast"},
    }
}

#: Ports of portal.lib: tests and the simulator install their own.
HOLDFAST_CLOCK = "portal.lib.clock.DatabaseClock"
HOLDFAST_QUEUE = "portal.lib.queue.MemoryQueue" if TESTING else "portal.lib.queue.CeleryQueue"
HOLDFAST_LIVE = "portal.lib.live.MemoryLive" if TESTING else "portal.lib.live.ChannelsLive"
HOLDFAST_IDS = "portal.lib.ids.RandomIds"

#: URI scheme -> adapter; schemes that are not here cannot be opened at all.
HYPERVISORS = {
    "qemu+tls": "hosts.hypervisor.libvirtd.Libvirtd",
    "qemu+tcp": "hosts.hypervisor.libvirtd.Libvirtd",
    "qemu+ssh": "hosts.hypervisor.libvirtd.Libvirtd",
}
#: Driver name -> power adapter.
POWER_DRIVERS = {
    "ipmi": "fencing.power.ipmi.Ipmi",
    "redfish": "fencing.power.redfish.Redfish",
    "fence-agent": "fencing.power.fence_agent.FenceAgent",
}
#: HA provider of the house -> its class; further ones come by entry point.
HA_PROVIDERS = {
    "libvirt-kvm": "fencing.operations.providers.libvirt_kvm.LibvirtKvm",
    "vm-guest": "fencing.operations.providers.vm_guest.VmGuest",
}
if DEMO_DIR:
    HA_PROVIDERS["simulator"] = "portal.demo.ha_provider.Simulator"
    HYPERVISORS["test+tcp"] = "portal.demo.hypervisor.BoxLibvirtd"
    INSTALLED_APPS.append("portal.demo")

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING
        # Not compressed at set-up: brotli took 43 s of a first start (2026-11-21).
        else "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = TESTING

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
LOG_LEVEL = setting("HOLDFAST_LOG_LEVEL", starting.level, "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"short": {"()": "django.utils.log.CallbackFilter", "callback": shorten_refusal}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "axes": {"level": "WARNING"},
        **{name: {"filters": ["short"]} for name in LOGGERS},
        "celery": {"level": "WARNING"},
        "uvicorn.access": {"level": "WARNING"},
        # It logs whole addresses, and that of a webhook may hold a token.
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
    },
}
