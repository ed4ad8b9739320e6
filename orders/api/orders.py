"""Orders: place, try, amend, cancel, look. Every answer to a command comes after the commit."""

import re
from typing import Any

from pydantic import ValidationError
from rest_framework.response import Response

from orders import dry_run, gateway, selectors
from orders.actors import Actor
from orders.api.base import ApiRequest, ApiViewSet, actor_of, expected_version, order_response, path_order_id
from orders.api.permissions import (
    TO_CANCEL,
    TO_CANCEL_MATCHING,
    TO_OPERATE,
    TO_READ,
    TO_TRADE,
    TO_TRY,
    refuse_unless,
)
from orders.api.problems import request_id_of
from orders.api.rendering import event_body, page
from orders.api.schema import PLACING_ERRORS, REQUEST_ERRORS, documented
from orders.bodies import detail_body, order_bodies, outcome_body, stored_body
from orders.bus.envelope import REPLAYED, Outcome
from orders.schemas.answers import (
    AmendedOrderOut,
    BatchOut,
    CancelAfterOut,
    CanceledOut,
    EventPage,
    OrderDetailOut,
    OrderPage,
    PlacedOrderOut,
)
from orders.schemas.orders import (
    CLIENT_ORDER_ID_PATTERN,
    AmendOrder,
    CancelAfter,
    CancelFilter,
    OrderFilter,
    PlaceBatch,
    PlaceOrder,
)
from orders.schemas.problems import ProblemError, from_validation
from orders.schemas.render import wire_time
from orders.schemas.trials import TrialOut

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
        return Response(page(order_bodies(rows, actor), following))

    @documented(
        "order_place",
        "Place an order, or several that are linked",
        PlacedOrderOut,
        tag="orders",
        need=TO_TRADE,
        request=PlaceOrder,
        status=201,
        replayed=True,
        errors=PLACING_ERRORS,
    )
    def create(self, request: ApiRequest) -> Response:
        """Answers the order after matching, with its fills; of an oco or a bracket the first, with the others as `legs`.
        Send a `client_order_id` and you may safely send it again.
        """
        actor = actor_of(request)
        outcome = gateway.order_place(actor=actor, request=PlaceOrder.model_validate(request.data))
        if outcome.kind == REPLAYED:
            body = stored_body(selectors.order_by_id(outcome.order_id), actor)
            return order_response(body, headers={"Idempotency-Replayed": "true"})
        body = outcome_body(outcome, actor)
        return order_response(body, status=201, headers={"Location": f"/api/v1/orders/{body['id']}"})

    @documented(
        "order_validate",
        "Try an order without placing it",
        TrialOut,
        tag="orders",
        need=TO_TRY,
        request=PlaceOrder,
        errors=REQUEST_ERRORS,
    )
    def validate(self, request: ApiRequest) -> Response:
        """Every check with its limit, what would trade at once against the displayed book, and where the rest would stand.
        Takes the body of a new order.
        """
        return Response(dry_run.order_try(actor=actor_of(request), request=PlaceOrder.model_validate(request.data)))

    @documented(
        "order_cancel_matching",
        "Cancel all open orders that match",
        CanceledOut,
        tag="orders",
        need=TO_CANCEL_MATCHING,
        query=CancelFilter,
        errors=("unknown_symbol", "unknown_account", "too_late_to_cancel", "engine_unavailable", "engine_timeout"),
    )
    def cancel_matching(self, request: ApiRequest) -> Response:
        """Without parameters: all open orders of the account. Those linked to one that is canceled are canceled too.
        Orders in a book that takes no cancels at the moment stay.
        """
        actor, query = actor_of(request), self.query
        refuse_unless(actor, TO_CANCEL if query.account in (None, actor.account_name) else TO_OPERATE)
        outcome = gateway.order_cancel_matching(
            actor=actor, symbol=query.symbol, side=query.side, account=query.account
        )
        return Response({"canceled": [str(order_id) for order_id in outcome.canceled], "count": len(outcome.canceled)})

    @documented(
        "order_cancel_after",
        "Cancel all open orders unless this is renewed",
        CancelAfterOut,
        tag="orders",
        need=TO_CANCEL,
        request=CancelAfter,
        errors=("engine_unavailable", "engine_timeout"),
    )
    def cancel_after(self, request: ApiRequest) -> Response:
        """A dead-man's switch: send it again and again, and when you stop, all open orders of the account are canceled
        that many seconds after the last one. 0 seconds end it.
        """
        seconds = CancelAfter.model_validate(request.data).seconds
        outcome = gateway.cancel_after(actor=actor_of(request), seconds=seconds)
        return Response({"seconds": seconds, "expires_at": wire_time(outcome.due_at) if outcome.due_at else None})

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
        """Carried out in order, each on its own: `results` has an `order` or a `problem` for each, in the same order.
        An entry may be a whole oco or bracket.
        """
        actor = actor_of(request)
        batch = PlaceBatch.model_validate(request.data)
        requests = [_order_of_batch(index, item) for index, item in enumerate(batch.orders)]
        results = gateway.order_place_batch(actor=actor, requests=requests)
        request_id = request_id_of(request._request)
        return Response({"results": [_result_body(result, actor, request_id) for result in results]})

    @documented("order_get", "One order", OrderDetailOut, tag="orders", need=TO_READ, errors=("order_not_found",))
    def retrieve(self, request: ApiRequest, order_id: str) -> Response:
        actor = actor_of(request)
        row = selectors.order_get(account_id=actor.account_id, order_id=path_order_id(order_id))
        return order_response(detail_body(row, actor))

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
        """`quantity` is the new total. Less at the same price keeps the place in the queue: `priority_kept`. A new stop price
        or trail gives a stop a new place, and a trailing stop starts over from the last price.
        """
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
        OrderDetailOut,
        tag="orders",
        need=TO_CANCEL,
        errors=("order_not_found", "too_late_to_cancel", "engine_unavailable", "engine_timeout"),
    )
    def destroy(self, request: ApiRequest, order_id: str) -> Response:
        """Answers the order as it ended. What is linked to it ends too."""
        actor = actor_of(request)
        outcome = gateway.order_cancel(actor=actor, order_id=path_order_id(order_id))
        body = outcome_body(outcome, actor)
        del body["fills"]
        return order_response(body)

    @documented(
        "order_get_by_client_id",
        "One order, by the client's own id",
        OrderDetailOut,
        tag="orders",
        need=TO_READ,
        errors=("order_not_found",),
    )
    def by_client_id(self, request: ApiRequest, client_order_id: str) -> Response:
        actor = actor_of(request)
        if _CLIENT_ORDER_ID.fullmatch(client_order_id) is None:
            raise ProblemError("order_not_found")
        row = selectors.order_by_client_id(account_id=actor.account_id, client_order_id=client_order_id)
        return order_response(detail_body(row, actor))

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


def _result_body(result: Outcome | ProblemError, actor: Actor, request_id: str) -> dict[str, Any]:
    if isinstance(result, ProblemError):
        return {"problem": result.body(request_id)}
    if result.kind == REPLAYED:
        return {"order": stored_body(selectors.order_by_id(result.order_id), actor)}
    return {"order": outcome_body(result, actor)}
