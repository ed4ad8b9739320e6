"""Lines of recorded order flow as commands, and order ids back as the file's.

The file's ids are turned into order ids in the order of the lines; an id may be used again after its order is gone, later
lines then mean the newest. What a line means for an order that has ended is the engine's to say: nothing.

The clock of a durable replay is the real one, and a file is replayed faster than it was recorded. So there the orders that
expire in the file are placed without an expiry, and canceled ahead of the first line at or past it.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from matching.commands import OPEN, REDUCTION, Amend, Cancel, Command, OrderGroup, SetPhase
from matching.order import Conditions, Order
from matching.values import (
    DAY,
    DAY_US,
    ENTRY,
    GTC,
    GTD,
    LIMIT,
    NO_ROLE,
    OCO_LIMIT,
    OCO_STOP,
    STOP_LOSS,
    STP_NONE,
)
from orders.flow import FlowLine
from orders.flow_terms import Terms

_FIRST_OF_A_GROUP = (OCO_LIMIT, ENTRY)
_LAST_OF_A_GROUP = (OCO_STOP, STOP_LOSS)


class Translator:
    """Turns lines into commands. ``file_ids`` and ``sides`` are by order id, of all orders so far."""

    def __init__(self, account_id: int, instrument_id: int, new_id: Callable[[], int]) -> None:
        self._account_id = account_id
        self._instrument_id = instrument_id
        self._new_id = new_id
        self._order_ids: dict[int, int] = {}
        self._group: list[Order] = []
        self.file_ids: dict[int, int] = {}
        self.sides: dict[int, int] = {}

    def command(self, line: FlowLine) -> Command | None:
        """The command of a line; None where it names an id the file has not used, or where its group is not complete yet."""
        _, op, file_id, side, price, quantity, time_in_force, terms = line
        if op == "N":
            order_id = self._new_id()
            self._order_ids[file_id] = order_id
            self.file_ids[order_id] = file_id
            if terms is not None:
                return self._order_of_any_type(order_id, line, terms)
            return Order(
                order_id, self._account_id, self._instrument_id, side, price, quantity, LIMIT, time_in_force, STP_NONE
            )
        if op == "P":
            assert terms is not None
            return SetPhase(self._instrument_id, terms.phase)
        order_id = self._order_ids.get(file_id, 0)
        if not order_id:
            return None
        if op == "C":
            return Cancel(order_id, self._account_id)
        if op == "R":
            return Amend(order_id, self._account_id, 0, quantity, REDUCTION)
        if terms is not None:
            return self._amend(order_id, line, terms)
        return Amend(order_id, self._account_id, price, quantity, OPEN)

    def _order_of_any_type(self, order_id: int, line: FlowLine, terms: Terms) -> Command | None:
        time_in_force, expires_at = self._until(order_id, line.time_in_force, terms)
        role = terms.role
        conditions = None
        if role or expires_at or terms.type > LIMIT or terms.display_quantity or time_in_force in (DAY, GTD):
            conditions = Conditions(
                terms.stop_price, terms.trail, terms.trail_bps, terms.display_quantity, expires_at, 0, role
            )
        order = Order(
            order_id,
            self._account_id,
            self._instrument_id,
            line.side,
            line.price,
            line.quantity,
            terms.type,
            time_in_force,
            terms.self_trade_prevention,
            terms.post_only,
            conditions=conditions,
        )
        self.sides[order_id] = line.side
        if role == NO_ROLE:
            return order
        if role in _FIRST_OF_A_GROUP:
            self._group = []
        self._group.append(order)
        assert conditions is not None
        conditions.group_id = self._group[0].order_id
        return OrderGroup(self._group) if role in _LAST_OF_A_GROUP else None

    def _amend(self, order_id: int, line: FlowLine, terms: Terms) -> Command | None:
        return Amend(
            order_id,
            self._account_id,
            line.price,
            line.quantity,
            OPEN,
            stop_price=terms.stop_price,
            trail=terms.trail,
            trail_bps=terms.trail_bps,
            display_quantity=terms.display_quantity,
            expires_at=terms.expires_at,
        )

    def _until(self, order_id: int, time_in_force: int, terms: Terms) -> tuple[int, int]:
        """Time in force and expiry that the engine is told."""
        return time_in_force, terms.expires_at


class DurableTranslator(Translator):
    """Also keeps the file's expiries: ask ``expired`` before the command of each line."""

    def __init__(self, account_id: int, instrument_id: int, new_id: Callable[[], int]) -> None:
        super().__init__(account_id, instrument_id, new_id)
        # (when, gtd before day, order id): the engine's own order of what is due at one moment.
        self._due: list[tuple[int, bool, int]] = []
        self._expires_at: dict[int, int] = {}

    def expired(self, line: FlowLine) -> list[Cancel]:
        """Cancels of the orders that are past their time when this line comes."""
        found: list[Cancel] = []
        while self._due and line.terms is not None and self._due[0][0] <= line.terms.at:
            when, _, order_id = heappop(self._due)
            if self._expires_at[order_id] == when:  # else it was amended: another entry tells of it
                found.append(Cancel(order_id, self._account_id))
        return found

    def _until(self, order_id: int, time_in_force: int, terms: Terms) -> tuple[int, int]:
        expires_at = terms.expires_at
        if time_in_force == DAY:
            expires_at = (terms.at // DAY_US + 1) * DAY_US
        elif time_in_force != GTD:
            return time_in_force, 0
        if expires_at <= terms.at:
            return GTD, 1  # past already, on every clock
        self._expires_at[order_id] = expires_at
        heappush(self._due, (expires_at, time_in_force == DAY, order_id))
        return GTC, 0

    def _amend(self, order_id: int, line: FlowLine, terms: Terms) -> Command | None:
        if terms.expires_at > terms.at and order_id in self._expires_at:
            self._expires_at[order_id] = terms.expires_at
            heappush(self._due, (terms.expires_at, False, order_id))
        terms = terms._replace(expires_at=0)
        changes = (line.price, line.quantity, *terms[2:6])
        return super()._amend(order_id, line, terms) if any(changes) else None
