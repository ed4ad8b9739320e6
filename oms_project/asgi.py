"""The ASGI application: HTTP by Django, WebSockets by Channels."""

import os

import django
from channels.routing import ProtocolTypeRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oms_project.settings")

# What is imported below needs the models.
django.setup(set_prefix=False)

from oms_project.handler import OneHopHandler  # noqa: E402
from orders.sockets.routing import websocket_application  # noqa: E402

application = ProtocolTypeRouter({"http": OneHopHandler(), "websocket": websocket_application})
