"""The ASGI application: pages and API over HTTP, one live channel over WebSocket."""

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
