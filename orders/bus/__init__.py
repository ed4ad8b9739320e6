"""How a command reaches the engine and its outcome comes back.

One bus a process: ``bus()`` is the queue of the embedded engine, closed until that engine opens it.
"""

from orders.bus.memory import MemoryBus

_bus = MemoryBus()


def bus() -> MemoryBus:
    return _bus
