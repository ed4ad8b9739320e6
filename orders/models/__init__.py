"""Tables. Only ``orders.engine`` and migrations write trading tables; everybody else reads through ``orders.selectors``."""

from orders.models.accounts import Account, ApiKey, MessageRate
from orders.models.calendar import Calendar, KeptSchedule
from orders.models.market import EngineLease, Instrument, Shard
from orders.models.snapshots import BookSnapshot
from orders.models.trading import Candle, ClientOrderId, Deposit, Event, Lease, Order, Position, Trade

__all__ = [
    "Account",
    "ApiKey",
    "BookSnapshot",
    "Calendar",
    "Candle",
    "ClientOrderId",
    "Deposit",
    "EngineLease",
    "Event",
    "Instrument",
    "KeptSchedule",
    "Lease",
    "MessageRate",
    "Order",
    "Position",
    "Shard",
    "Trade",
]
