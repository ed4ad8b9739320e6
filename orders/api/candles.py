"""Candles of an instrument."""

from rest_framework.response import Response

from orders import charts, selectors
from orders.api.base import ApiRequest, ApiViewSet, path_symbol
from orders.api.permissions import MARKET_DATA
from orders.api.schema import documented
from orders.schemas.charts import CandleList, CandleQuery
from orders.schemas.render import candle_out


class CandleViewSet(ApiViewSet):
    @documented(
        "candle_list",
        "Candles, oldest first",
        CandleList,
        tag="market data",
        need=MARKET_DATA,
        query=CandleQuery,
        errors=("unknown_symbol",),
    )
    def list(self, request: ApiRequest, symbol: str) -> Response:
        """The first ones from `start` on; without it the last ones, before `end` if there is one. The last may change yet."""
        info = selectors.instrument_by_symbol(path_symbol(symbol))
        query = self.query
        found = charts.candle_list(info, query.interval, query.start, query.end, query.limit)
        return Response([candle_out(candle, info) for candle in found])
