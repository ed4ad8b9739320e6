"""The reference client of the order management service: see ``AsyncClient`` and ``Client``.

The protocol lives in modules without input or output (``session`` tells how they play together); ``shell``, ``aio`` and
``sync`` are thin around them, ``rest`` asks questions.
"""

from oms_client.aio import AsyncClient
from oms_client.errors import ClientError, NotSent, Refused, ResumeImpossible, Stopped, Unknown, Unreachable
from oms_client.models import (
    BookView,
    Canceled,
    Candle,
    Execution,
    FieldError,
    Fill,
    Instrument,
    Lease,
    Level,
    Malformed,
    Order,
    Position,
    Problem,
    SessionState,
    ShardStatus,
    Side,
    Skipped,
    Status,
    Ticker,
    Trade,
)
from oms_client.rest import Rest
from oms_client.stats import Stats
from oms_client.sync import BlockingStream, Client
from oms_client.terms import AmendTerms, NewOrder, Number, OrderTerms

__all__ = [
    "AmendTerms",
    "AsyncClient",
    "BlockingStream",
    "BookView",
    "Canceled",
    "Candle",
    "Client",
    "ClientError",
    "Execution",
    "FieldError",
    "Fill",
    "Instrument",
    "Lease",
    "Level",
    "Malformed",
    "NewOrder",
    "NotSent",
    "Number",
    "Order",
    "OrderTerms",
    "Position",
    "Problem",
    "Refused",
    "Rest",
    "ResumeImpossible",
    "SessionState",
    "ShardStatus",
    "Side",
    "Skipped",
    "Stats",
    "Status",
    "Stopped",
    "Ticker",
    "Trade",
    "Unknown",
    "Unreachable",
]
