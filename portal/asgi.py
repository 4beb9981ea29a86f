"""The ASGI application: pages and API over HTTP, one live channel over WebSocket."""

import gc
import os
import warnings

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
# WhiteNoise answers from files, which Django reads in a thread: true, and known upstream.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume", Warning)
_http = get_asgi_application()  # loads the apps, which what follows needs

from channels.auth import AuthMiddlewareStack  # noqa: E402 - only after the apps are loaded
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - as above
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402 - as above
from django.urls import path, re_path  # noqa: E402 - as above

import portal.urls  # noqa: E402, F401 - the views: else the first page loads them
from portal.consumers import LiveConsumer, NobodyHere  # noqa: E402 - as above

application = ProtocolTypeRouter(
    {
        "http": _http,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        path("ws/live/", LiveConsumer.as_asgi()),
                        re_path("", NobodyHere.as_asgi()),
                    ]
                )
            )
        ),
    }
)

# What is loaded now stays for good: without this, each full collection walks through all of
# it (85 ms measured), and whatever page is being made waits for that.
gc.collect()
gc.freeze()
