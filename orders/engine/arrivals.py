"""What an instrument brings along from another shard: read from its rows, which nobody writes while it is between two."""

import json

from matching.image import give_best
from matching.moving import Arrival
from orders.engine.recovery import Recovered
from orders.instruments import unplaced_instrument
from orders.models import Instrument, Position
from orders.models.market import IN_TRANSIT
from orders.open_orders import OpenOrders


def arrival(instrument_id: int, shard_id: int, state: Recovered) -> tuple[Arrival, int] | None:
    """What comes with it, and when it was let go (microseconds); None where it was not let go to this shard.

    Tells ``state`` what positions cost and how far the running candles are. Inside the transaction that takes it over.
    """
    row = Instrument.objects.filter(id=instrument_id, moving_to=shard_id).first()
    if row is None:
        return None
    instrument = unplaced_instrument(row, state.engine, row.moved_at)
    orders = OpenOrders(IN_TRANSIT)
    orders.load_rows(0, instrument_id)
    in_priority = orders.in_priority(instrument_id)
    trails = json.loads(row.trails)
    give_best(in_priority, trails["sell"], trails["buy"])
    holdings = []
    for position in Position.objects.filter(instrument_id=instrument_id):
        state.tally.load_position(position)
        sums = (position.bought, position.bought_notional, position.sold, position.sold_notional)
        holdings.append((position.account_id, *sums))
    state.tally.load_candles_of(instrument_id, row.moved_at)
    return Arrival(instrument, holdings, in_priority), row.moved_at
