"""The WSGI application, for REST workers beside engines of their own (Granian); WebSockets need ``asgi``.

A worker has a fixed number of threads, told by ``GRANIAN_BLOCKING_THREADS``: a fifth of them is the cancels' own, so that
these get through when every other thread waits for the engine (see ``oms_project.intake``).
"""

import gc
import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oms_project.settings")

# What is imported below needs the models.
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from oms_project.intake import BUSY, BUSY_HEADERS, MAX_REQUESTS, RESERVED_FOR_CANCELS, Intake  # noqa: E402
from oms_project.postgres.base import keep_connections  # noqa: E402
from orders import watching  # noqa: E402
from orders.bus import bus  # noqa: E402
from orders.management.commands._server import refuse_to_start_unmigrated  # noqa: E402

Environ = dict[str, Any]

GC_THRESHOLDS = (50_000, 20, 50)


def intake_of(threads: int) -> Intake:
    """The bound of a worker with so many threads: all of them together take what an ASGI process would, in proportion."""
    reserved = max(1, threads * RESERVED_FOR_CANCELS // (MAX_REQUESTS + RESERVED_FOR_CANCELS))
    return Intake(max(1, threads - reserved), reserved)


class BoundedHandler(WSGIHandler):
    """Django's, within the bound; takes bodies also in pieces that do not say how long they are."""

    def __init__(self, intake: Intake) -> None:
        super().__init__()
        self._intake = intake

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not self._intake.admit(environ["REQUEST_METHOD"]):
            start_response("503 Service Unavailable", BUSY_HEADERS)
            return [BUSY]
        try:
            if environ.get("HTTP_TRANSFER_ENCODING") and not environ.get("CONTENT_LENGTH"):
                measure_body(environ)
            response = super().__call__(environ, start_response)
            if response.streaming:
                return response
            # In one piece, which the server then does not have to ask for.
            content = response.content
            response.close()
            return [content]
        finally:
            self._intake.leave()


def measure_body(environ: Environ) -> None:
    """Django reads as many bytes as were announced: announce as many as there are, up to one more than any view takes."""
    body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))


application = BoundedHandler(intake_of(int(os.environ.get("GRANIAN_BLOCKING_THREADS") or MAX_REQUESTS)))


def get_ready() -> None:
    """What the first requests would otherwise wait for: every view, the way to the engines, what is known of them.

    Then all that is there is taken out of the garbage collector's sight, which looks through young objects more seldom: a
    request makes hundreds, and next to none of them are circles.
    """
    get_resolver().url_patterns  # noqa: B018 - reading imports them
    if settings.OMS_ENGINE == "remote":
        refuse_to_start_unmigrated()
        keep_connections()
        watching.start()
        bus().start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


get_ready()
