"""The WSGI application, for REST workers beside an engine of their own; WebSockets need ``asgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oms_project.settings")

application = get_wsgi_application()
