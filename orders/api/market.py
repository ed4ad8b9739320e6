"""Market data: instruments, books, public trades."""

from typing import Any

from rest_framework.response import Response

from matching.auction import is_call
from orders import history, selectors
from orders.api.base import ApiRequest, ApiViewSet, path_symbol
from orders.api.permissions import MARKET_DATA
from orders.api.rendering import instrument_body, page, trade_body
from orders.api.schema import documented
from orders.feed.hub import hub
from orders.feed.tickers import TickerView
from orders.models import Instrument
from orders.schemas.market import (
    BookOut,
    BookQuery,
    InstrumentOut,
    InstrumentPage,
    TickerOut,
    TickerPage,
    TradePage,
    TradeQuery,
)
from orders.schemas.render import level_out, ticker_out, wire_time
from orders.selectors import InstrumentInfo


class InstrumentViewSet(ApiViewSet):
    @documented("instrument_list", "All instruments, by symbol", InstrumentPage, tag="market data", need=MARKET_DATA)
    def list(self, request: ApiRequest) -> Response:
        return Response(page([_instrument(row) for row in selectors.instrument_list()], None))

    @documented(
        "instrument_get",
        "One instrument",
        InstrumentOut,
        tag="market data",
        need=MARKET_DATA,
        errors=("unknown_symbol",),
    )
    def retrieve(self, request: ApiRequest, symbol: str) -> Response:
        return Response(_instrument(selectors.instrument_get(symbol=path_symbol(symbol))))

    @documented(
        "book_get",
        "The best levels of a book",
        BookOut,
        tag="market data",
        need=MARKET_DATA,
        query=BookQuery,
        errors=("unknown_symbol", "history_too_long", "rate_limited"),
    )
    def book(self, request: ApiRequest, symbol: str) -> Response:
        """As it stands, or with `sequence` as it stood after that event of the shard: the same levels, checksum and
        `sequence` that the feed told then. (`epoch` is today's: numbers of events outlast it.) In the middle of a command an
        order is in the book once its own execution is over. Events are folded upon the nearest saved book (`snapshots`);
        where that is more than a million events before, the answer is `history_too_long`.
        """
        instrument = selectors.instrument_by_symbol(path_symbol(symbol))
        depth, sequence = self.query.depth, self.query.sequence
        if sequence is None:
            book = hub().book(instrument.id, depth)
        else:
            book = history.book_at(info=instrument, sequence=sequence, depth=depth)
        return Response(
            {
                "symbol": instrument.symbol,
                "epoch": book.epoch,
                "sequence": book.sequence,
                "checksum": book.checksum,
                "time": wire_time(book.at),
                "bids": [level_out(level, instrument) for level in book.bids],
                "asks": [level_out(level, instrument) for level in book.asks],
            }
        )

    @documented(
        "ticker_list",
        "All instruments at a glance, by symbol",
        TickerPage,
        tag="market data",
        need=MARKET_DATA,
    )
    def tickers(self, request: ApiRequest) -> Response:
        infos = [selectors.instrument_by_id(row.id) for row in selectors.instrument_list()]
        views = hub().tickers([info.id for info in infos])
        return Response(page([_ticker(view, info) for view, info in zip(views, infos, strict=True)], None))

    @documented(
        "ticker_get",
        "An instrument at a glance, and its last 24 hours",
        TickerOut,
        tag="market data",
        need=MARKET_DATA,
        errors=("unknown_symbol",),
    )
    def ticker(self, request: ApiRequest, symbol: str) -> Response:
        """The last 24 hours are 1,440 minutes, the one that runs included. The same as on the WebSocket's channel `ticker`."""
        info = selectors.instrument_by_symbol(path_symbol(symbol))
        return Response(_ticker(hub().ticker(info.id), info))

    @documented(
        "trade_list",
        "Public trades, newest first",
        TradePage,
        tag="market data",
        need=MARKET_DATA,
        query=TradeQuery,
        errors=("unknown_symbol",),
    )
    def trades(self, request: ApiRequest, symbol: str) -> Response:
        rows, following = selectors.trade_list(
            symbol=path_symbol(symbol), cursor=self.query.cursor, limit=self.query.limit
        )
        return Response(page([trade_body(row) for row in rows], following))


def _ticker(view: TickerView, info: InstrumentInfo) -> dict[str, Any]:
    return {"symbol": info.symbol, **ticker_out(view, info)}


def _instrument(row: Instrument) -> dict[str, Any]:
    """The feed knows where an auction stands; everything else is in the row."""
    return instrument_body(row, hub().instrument(row.id).indicative if is_call(row.phase) else None)
