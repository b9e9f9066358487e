"""The ASGI application that daphne serves."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtps_site.settings")
http = get_asgi_application()  # sets Django up, which what follows needs

from workers_app.embedded import server as embedded  # noqa: E402
from workers_app.live.routing import websocket  # noqa: E402

from .body_limit import limit_bodies  # noqa: E402
from .patience import be_impatient  # noqa: E402

be_impatient()
embedded.keep()  # whoever serves needs Redis, so the first one starts it

application = ProtocolTypeRouter({"http": limit_bodies(http), "websocket": websocket})
