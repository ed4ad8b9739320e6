"""The account: what it may do, what it has, and what happened to it. And saved books."""

from typing import Any

from rest_framework.response import Response

from orders import selectors
from orders.api.base import ApiRequest, ApiViewSet, actor_of
from orders.api.permissions import TO_LOOK, TO_READ
from orders.api.rendering import (
    account_body,
    event_body,
    limits_body,
    page,
    position_body,
    snapshot_body,
)
from orders.api.schema import documented
from orders.balances import balance_list
from orders.bodies import fill_body
from orders.holdings import position_page
from orders.models import Account
from orders.schemas.answers import EventPage, FillPage, LimitsOut
from orders.schemas.holdings import AccountOut, PositionPage, PositionQuery
from orders.schemas.market import EventQuery, FillQuery, SnapshotPage, SnapshotQuery

MAX_ID = 2**63 - 1


class AccountViewSet(ApiViewSet):
    @documented("account_get", "The account: what it may do and what it has", AccountOut, tag="account", need=TO_READ)
    def retrieve(self, request: ApiRequest) -> Response:
        """Its limits, its money by currency, and the scopes of these credentials."""
        actor = actor_of(request)
        row = selectors.account_get(account_id=actor.account_id)
        return Response(account_body(self._limits(row), balance_list(row), actor.scopes))

    @documented("account_limits", "What the account may do", LimitsOut, tag="account", need=TO_READ)
    def limits(self, request: ApiRequest) -> Response:
        """State, limits, and how much of them is used."""
        return Response(self._limits(selectors.account_get(account_id=actor_of(request).account_id)))

    def _limits(self, row: Account) -> dict[str, Any]:
        lease = selectors.account_lease(account_id=row.id)
        return limits_body(row, selectors.account_open_orders(account_id=row.id), lease)


class PositionViewSet(ApiViewSet):
    @documented(
        "position_list",
        "Positions of the account",
        PositionPage,
        tag="account",
        need=TO_READ,
        query=PositionQuery,
        errors=("unknown_symbol",),
    )
    def list(self, request: ApiRequest) -> Response:
        """Every instrument it has ever traded, also where nothing is left: what it realized there is told."""
        query = self.query
        rows, following = position_page(
            account_id=actor_of(request).account_id, symbol=query.symbol, cursor=query.cursor, limit=query.limit
        )
        return Response(page([position_body(row) for row in rows], following))


class FillViewSet(ApiViewSet):
    @documented(
        "fill_list",
        "Fills of the account, newest first",
        FillPage,
        tag="account",
        need=TO_READ,
        query=FillQuery,
        errors=("unknown_symbol",),
    )
    def list(self, request: ApiRequest) -> Response:
        query = self.query
        rows, following = selectors.fill_list(
            account_id=actor_of(request).account_id,
            symbol=query.symbol,
            # Nineteen digits may pass what a column holds; that is nobody's order.
            order_id=None if query.order_id is None else min(int(query.order_id), MAX_ID),
            cursor=query.cursor,
            limit=query.limit,
        )
        return Response(page([fill_body(row) for row in rows], following))


class EventViewSet(ApiViewSet):
    @documented(
        "event_list",
        "Events of the account on a shard, oldest first",
        EventPage,
        tag="account",
        need=TO_READ,
        query=EventQuery,
    )
    def list(self, request: ApiRequest) -> Response:
        """`next` is the `after_sequence` of the following page, null where there is none yet."""
        query = self.query
        rows = selectors.account_event_list(
            account_id=actor_of(request).account_id,
            shard_id=query.shard,
            after_sequence=query.after_sequence,
            limit=query.limit + 1,
        )
        following = str(rows[query.limit - 1].sequence) if len(rows) > query.limit else None
        return Response(page([event_body(row) for row in rows[: query.limit]], following))


class SnapshotViewSet(ApiViewSet):
    @documented(
        "snapshot_list",
        "Saved books, newest first",
        SnapshotPage,
        tag="account",
        need=TO_LOOK,
        query=SnapshotQuery,
        errors=("unknown_symbol",),
    )
    def list(self, request: ApiRequest) -> Response:
        rows, following = selectors.snapshot_list(
            symbol=self.query.symbol, cursor=self.query.cursor, limit=self.query.limit
        )
        return Response(page([snapshot_body(row) for row in rows], following))
