"""Orders: place, amend, cancel, look. Every answer comes after the commit."""

import re
from typing import Any

from pydantic import ValidationError
from rest_framework.response import Response

from orders import gateway, selectors
from orders.api.base import ApiRequest, ApiViewSet, actor_of, expected_version, order_response, path_order_id
from orders.api.permissions import TO_CANCEL, TO_READ, TO_TRADE
from orders.api.problems import request_id_of
from orders.api.rendering import event_body, order_body, outcome_body, page, stored_body
from orders.api.schema import PLACING_ERRORS, documented
from orders.bus.envelope import REPLAYED, Outcome
from orders.schemas.orders import (
    CLIENT_ORDER_ID_PATTERN,
    AmendedOrderOut,
    AmendOrder,
    BatchOut,
    CanceledOut,
    CancelFilter,
    EventPage,
    OrderFilter,
    OrderOut,
    OrderPage,
    PlaceBatch,
    PlacedOrderOut,
    PlaceOrder,
)
from orders.schemas.problems import ProblemError, from_validation

_CLIENT_ORDER_ID = re.compile(CLIENT_ORDER_ID_PATTERN.strip("^$"), re.ASCII)


class OrderViewSet(ApiViewSet):
    @documented(
        "order_list",
        "Orders of the account, newest first",
        OrderPage,
        tag="orders",
        need=TO_READ,
        query=OrderFilter,
        errors=("unknown_symbol",),
    )
    def list(self, request: ApiRequest) -> Response:
        actor = actor_of(request)
        rows, following = selectors.order_list(account_id=actor.account_id, filters=self.query)
        return Response(page([order_body(row, actor) for row in rows], following))

    @documented(
        "order_place",
        "Place an order",
        PlacedOrderOut,
        tag="orders",
        need=TO_TRADE,
        request=PlaceOrder,
        status=201,
        replayed=True,
        errors=PLACING_ERRORS,
    )
    def create(self, request: ApiRequest) -> Response:
        """Answers the order after matching, with its fills. Send a `client_order_id` and you may safely send it again."""
        actor = actor_of(request)
        outcome = gateway.order_place(actor=actor, request=PlaceOrder.model_validate(request.data))
        if outcome.kind == REPLAYED:
            body = stored_body(selectors.order_by_id(outcome.order_id), actor)
            return order_response(body, headers={"Idempotency-Replayed": "true"})
        body = outcome_body(outcome, actor)
        return order_response(body, status=201, headers={"Location": f"/api/v1/orders/{body['id']}"})

    @documented(
        "order_cancel_matching",
        "Cancel all open orders that match",
        CanceledOut,
        tag="orders",
        need=TO_CANCEL,
        query=CancelFilter,
        errors=("unknown_symbol", "engine_unavailable", "engine_timeout"),
    )
    def cancel_matching(self, request: ApiRequest) -> Response:
        """Without parameters: all open orders of the account."""
        outcome = gateway.order_cancel_matching(actor=actor_of(request), symbol=self.query.symbol, side=self.query.side)
        return Response({"canceled": [str(order_id) for order_id in outcome.canceled], "count": len(outcome.canceled)})

    @documented(
        "order_place_batch",
        "Place up to 500 orders",
        BatchOut,
        tag="orders",
        need=TO_TRADE,
        request=PlaceBatch,
        errors=("engine_unavailable", "engine_timeout"),
    )
    def batch(self, request: ApiRequest) -> Response:
        """Carried out in order, each on its own: `results` has an `order` or a `problem` for each, in the same order."""
        actor = actor_of(request)
        batch = PlaceBatch.model_validate(request.data)
        requests = [_order_of_batch(index, item) for index, item in enumerate(batch.orders)]
        results = gateway.order_place_batch(actor=actor, requests=requests)
        request_id = request_id_of(request._request)
        return Response({"results": [_result_body(result, actor, request_id) for result in results]})

    @documented("order_get", "One order", OrderOut, tag="orders", need=TO_READ, errors=("order_not_found",))
    def retrieve(self, request: ApiRequest, order_id: str) -> Response:
        actor = actor_of(request)
        row = selectors.order_get(account_id=actor.account_id, order_id=path_order_id(order_id))
        return order_response(order_body(row, actor))

    @documented(
        "order_amend",
        "Amend an open order",
        AmendedOrderOut,
        tag="orders",
        need=TO_TRADE,
        request=AmendOrder,
        if_match=True,
        errors=("order_not_found", "too_late_to_amend", "not_amendable", "version_conflict", *PLACING_ERRORS),
    )
    def partial_update(self, request: ApiRequest, order_id: str) -> Response:
        """`quantity` is the new total. Less at the same price keeps the place in the queue: `priority_kept`."""
        actor = actor_of(request)
        outcome = gateway.order_amend(
            actor=actor,
            order_id=path_order_id(order_id),
            request=AmendOrder.model_validate(request.data),
            expected_version=expected_version(request),
        )
        return order_response({**outcome_body(outcome, actor), "priority_kept": outcome.priority_kept})

    @documented(
        "order_cancel",
        "Cancel an open order",
        OrderOut,
        tag="orders",
        need=TO_CANCEL,
        errors=("order_not_found", "too_late_to_cancel", "engine_unavailable", "engine_timeout"),
    )
    def destroy(self, request: ApiRequest, order_id: str) -> Response:
        """Answers the order as it ended."""
        actor = actor_of(request)
        outcome = gateway.order_cancel(actor=actor, order_id=path_order_id(order_id))
        return order_response(order_body(outcome.order, actor))

    @documented(
        "order_get_by_client_id",
        "One order, by the client's own id",
        OrderOut,
        tag="orders",
        need=TO_READ,
        errors=("order_not_found",),
    )
    def by_client_id(self, request: ApiRequest, client_order_id: str) -> Response:
        actor = actor_of(request)
        if _CLIENT_ORDER_ID.fullmatch(client_order_id) is None:
            raise ProblemError("order_not_found")
        row = selectors.order_by_client_id(account_id=actor.account_id, client_order_id=client_order_id)
        return order_response(order_body(row, actor))

    @documented(
        "order_event_list",
        "The whole life of an order, oldest first",
        EventPage,
        tag="orders",
        need=TO_READ,
        errors=("order_not_found",),
    )
    def events(self, request: ApiRequest, order_id: str) -> Response:
        rows = selectors.order_event_list(account_id=actor_of(request).account_id, order_id=path_order_id(order_id))
        return Response(page([event_body(row) for row in rows], None))


def _order_of_batch(index: int, item: Any) -> PlaceOrder | ProblemError:
    try:
        return PlaceOrder.model_validate(item)
    except ValidationError as error:
        return from_validation(error, prefix=f"orders.{index}.")


def _result_body(result: Outcome | ProblemError, actor: Any, request_id: str) -> dict[str, Any]:
    if isinstance(result, ProblemError):
        return {"problem": result.body(request_id)}
    if result.kind == REPLAYED:
        return {"order": stored_body(selectors.order_by_id(result.order_id), actor)}
    return {"order": outcome_body(result, actor)}
