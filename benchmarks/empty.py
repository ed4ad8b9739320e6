"""An empty DRF view: the service's authentication, parser and renderer, and a constant answer of an order's size."""

from typing import Any

from rest_framework.response import Response

from orders.api.base import ApiView
from orders.api.permissions import TO_TRADE

ANSWER = {
    "id": "250320855513432064",
    "client_order_id": "x1",
    "account": "alice",
    "symbol": "ACME-USD",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "post_only": False,
    "price": "99.98",
    "stop_price": None,
    "quantity": "10.000",
    "display_quantity": None,
    "expires_at": None,
    "self_trade_prevention": "cancel_newest",
    "filled_quantity": "0.000",
    "remaining_quantity": "10.000",
    "canceled_quantity": "0.000",
    "average_price": None,
    "status": "new",
    "reason": None,
    "version": 1,
    "sequence": 4,
    "created_at": "2026-11-22T18:05:42.692728Z",
    "updated_at": "2026-11-22T18:05:42.692728Z",
    "fills": [],
}


class EmptyView(ApiView):
    schema = None

    def post(self, request: Any) -> Response:
        """Parses the body, as any view must, and answers."""
        assert request.data
        return Response(ANSWER, status=201)


EmptyView.post.need = TO_TRADE
