"""Which bus a process has is a matter of its settings."""

from django.test import override_settings

from orders import bus as bus_module
from orders.bus.memory import MemoryBus
from orders.bus.remote import RemoteBus


def test_the_engine_s_place_decides() -> None:
    assert isinstance(bus_module.bus(), MemoryBus) and bus_module.bus() is bus_module.bus()
    assert bus_module.bus().node() == 0
    with override_settings(OMS_ENGINE="remote", REDIS_URL="redis://127.0.0.1:1/0"):
        made = bus_module._made()
    # Nothing is connected, and no thread started, before there is something to send.
    assert isinstance(made, RemoteBus) and made.is_open and made.waiting_commands == 0
