"""How a command reaches the engine and its outcome comes back.

One bus a process: ``bus()`` is the queue of the embedded engine, closed until that engine opens it; or, where engines are
processes of their own, the way to them over Redis.
"""

from django.conf import settings

from orders import watching
from orders.bus.memory import MemoryBus
from orders.bus.remote import RemoteBus


def _made() -> MemoryBus | RemoteBus:
    if settings.OMS_ENGINE == "remote":
        return RemoteBus(settings.REDIS_URL, wait_for_news=watching.wait_for_news)
    return MemoryBus()


_bus = _made()


def bus() -> MemoryBus | RemoteBus:
    return _bus
