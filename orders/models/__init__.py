"""Tables. Only ``orders.engine`` and migrations write trading tables; everybody else reads through ``orders.selectors``."""

from orders.models.accounts import Account, ApiKey
from orders.models.market import Instrument, Shard
from orders.models.snapshots import BookSnapshot
from orders.models.trading import ClientOrderId, Event, Order, Position, Trade

__all__ = [
    "Account",
    "ApiKey",
    "BookSnapshot",
    "ClientOrderId",
    "Event",
    "Instrument",
    "Order",
    "Position",
    "Shard",
    "Trade",
]
