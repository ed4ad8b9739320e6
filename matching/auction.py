"""Call auctions: at which price a crossed book trades, and how much.

Rule (docs/orders.md): greatest executable volume, then smallest surplus, then market pressure (a surplus that is on the buy
side at every price left takes the highest, on the sell side the lowest), then nearest to the reference. Hidden quantity
counts. Candidates are all ticks from the lowest to the highest price that can trade, and the orders' own prices.

Volume and surplus change only at prices somebody named. So instead of every tick only these prices and the gaps between
them are looked at: a *stretch* is a run of candidate prices at which both are the same.
"""

from __future__ import annotations

from typing import NamedTuple

from matching.side import BookSide
from matching.state import Instrument
from matching.values import AUCTION, NO_CANCEL

# A level as the auction sees it: price, total quantity (hidden included). Best first.
Total = tuple[int, int]


class Uncross(NamedTuple):
    """One price for all trades, the units traded, and what stays unfilled at it: positive on the buy side."""

    price: int
    volume: int
    surplus: int


class Stretch(NamedTuple):
    """Candidate prices from ``low`` to ``high``, and what they come to."""

    low: int
    high: int
    volume: int
    surplus: int


def indicative(instrument: Instrument) -> Uncross | None:
    """What the uncross would be now; None where nothing crosses."""
    book = instrument.book
    best_bid, best_ask = book.bids.best, book.asks.best
    if best_bid is None or best_ask is None or best_bid.price < best_ask.price:
        return None
    bids = _reachable(book.bids, best_ask.price)
    asks = _reachable(book.asks, -best_bid.price)
    return uncross_price(bids, asks, instrument.price_tick, instrument.reference)


def is_call(phase: int) -> bool:
    """Whether an auction is being called: the indicative price is published, and the end of it uncrosses."""
    return phase == AUCTION or phase == NO_CANCEL


def uncross_price(bids: list[Total], asks: list[Total], price_tick: int, reference: int) -> Uncross | None:
    """The uncross of two sides, each best first; ``reference`` 0 where there is none. None where nothing crosses."""
    if not bids or not asks or bids[0][0] < asks[0][0]:
        return None
    stretches = _stretches(bids, asks, price_tick)
    most = max(stretch.volume for stretch in stretches)
    left = [stretch for stretch in stretches if stretch.volume == most]
    least = min(abs(stretch.surplus) for stretch in left)
    left = [stretch for stretch in left if abs(stretch.surplus) == least]
    if all(stretch.surplus > 0 for stretch in left):
        return Uncross(left[-1].high, most, left[-1].surplus)
    if all(stretch.surplus < 0 for stretch in left) or not reference:
        return Uncross(left[0].low, most, left[0].surplus)
    return _nearest(left, price_tick, reference)


def _reachable(side: BookSide, bound: int) -> list[Total]:
    """The levels of a side down to a key, best first."""
    found: list[Total] = []
    for index in range(len(side.keys) - 1, -1, -1):
        key = side.keys[index]
        if key < bound:
            break
        level = side.levels[key]
        found.append((level.price, level.quantity + level.hidden))
    return found


def _stretches(bids: list[Total], asks: list[Total], price_tick: int) -> list[Stretch]:
    """All candidates in ascending order: each price somebody named, and the ticks between two of them."""
    low, high = asks[0][0], bids[0][0]
    prices = sorted({price for price, _ in bids + asks if low <= price <= high})
    buyers = dict(bids)
    sellers = dict(asks)
    buying = sum(quantity for price, quantity in bids if price >= low)
    selling = 0
    found: list[Stretch] = []
    for number, price in enumerate(prices):
        selling += sellers.get(price, 0)
        found.append(Stretch(price, price, min(buying, selling), buying - selling))
        buying -= buyers.get(price, 0)
        if number + 1 < len(prices):
            first = (price // price_tick + 1) * price_tick
            last = (prices[number + 1] - 1) // price_tick * price_tick
            if first <= last:
                found.append(Stretch(first, last, min(buying, selling), buying - selling))
    return found


def _nearest(stretches: list[Stretch], price_tick: int, reference: int) -> Uncross:
    """The candidate nearest to the reference; of two equally near the higher."""
    found: list[tuple[int, int, Stretch]] = []
    for stretch in stretches:
        price = min(max(reference, stretch.low), stretch.high)
        below = max(price // price_tick * price_tick, stretch.low) if stretch.low != stretch.high else stretch.low
        above = min(below + price_tick, stretch.high) if below < price else below
        for candidate in (below, above):
            found.append((abs(candidate - reference), -candidate, stretch))
    _, negated, stretch = min(found)
    return Uncross(-negated, stretch.volume, stretch.surplus)
