"""What must hold of a topology under load: looked at cheaply after each harm, and as a whole now and then."""

import time

from orders.models.trading import SEQUENCE_MASK, event_id
from tests.faults.crew import UNITS, Crew
from tests.faults.history import check
from tests.faults.ledger import DONE, PLACE, SYMBOLS, Ledger
from tests.faults.log import read_log
from tests.support.topology import Topology, Web, wait_for


class Watch:
    """Looks at what was acknowledged, cheaply, after each cycle; and at the whole history, now and then."""

    def __init__(self, topology: Topology, crew: Crew) -> None:
        self.topology, self.crew = topology, crew
        self._seen = [0 for _ in crew.ledgers]

    def after_cycle(self) -> None:
        """Of each shard: what was acknowledged since the last look is there; the numbers have no gap."""
        for shard, ledger in enumerate(self.crew.ledgers):
            self._acknowledged(shard, ledger)
            count, last, epoch = self.topology.rows(
                "SELECT (SELECT count(*) FROM orders_event WHERE id > %s AND id < %s), last_sequence, epoch "
                "FROM orders_shard WHERE id = %s",
                event_id(shard, 0),
                event_id(shard + 1, 0),
                shard,
            )[0]
            assert count == last, f"{count} events of shard {shard}, numbered up to {last}"
            ledger.epochs.append((time.monotonic(), epoch))

    def _acknowledged(self, shard: int, ledger: Ledger) -> None:
        calls, seen = ledger.calls, self._seen[shard]
        until = len(calls)
        told = {call.told.order_id: call for call in calls[seen:until] if call.kind == PLACE and call.told}
        found = {
            row[0]: row
            for row in self.topology.rows(
                "SELECT id, client_order_id, sequence FROM orders_order WHERE id = ANY(%s) AND shard_id = %s",
                list(told),
                shard,
            )
        }
        for order_id, call in told.items():
            assert call.outcome == DONE and call.told is not None
            assert order_id in found, f"{call.client_order_id} was acknowledged and is gone"
            assert found[order_id][1] == call.client_order_id
            assert found[order_id][2] >= call.told.sequence
        # Those that wait for an answer are looked at next time.
        self._seen[shard] = next((i for i in range(seen, until) if calls[i].answered_at is None), until)

    def whole(self) -> None:
        """Nobody sends anything: the history of each shard as a whole, and what holds of all of them together."""
        self.crew.pause()
        canceled = {order_id for call in self.crew.everywhere for order_id in call.canceled}
        for shard, ledger in enumerate(self.crew.ledgers):
            with self.topology.postgres.connect() as connection:
                log = read_log(connection, SYMBOLS[shard])
            orders = {order.id for order in log.orders}
            canceled -= orders
            found = check(ledger.with_part_of(self.crew.everywhere, orders), log)
            assert not found, f"shard {shard}\n" + "\n".join(found)
        assert not canceled, f"a cancel on all shards answered {canceled}, which are on none"
        doubled = self.topology.rows(
            "SELECT account_id, client_order_id FROM orders_order WHERE client_order_id IS NOT NULL "
            "GROUP BY 1, 2 HAVING count(*) > 1"
        )
        assert not doubled, f"client order ids that several orders have: {doubled}"

    def end(self) -> None:
        """Everything: what was not answered is asked for, then history, books, feed, and the service's own verification."""
        self.crew.trade(0.5)
        self.crew.pause()
        self.crew.resolve()
        self.after_cycle()
        self.books()
        self.heard()
        self.whole()
        self.verified()

    def verified(self) -> None:
        """The service's own verification, beside running engines: rows, events, trades, positions, books."""
        assert "good" in self.topology.manage("verify_books").stdout

    def books(self) -> None:
        """What the feed's replica shows, what REST reads, and what the open rows add up to are one book."""
        for symbol in SYMBOLS[: len(self.crew.ledgers)]:
            self._book(symbol)

    def _book(self, symbol: str) -> None:
        levels = self.topology.rows(
            "SELECT o.side, o.price, sum(o.remaining - o.hidden)::bigint, count(*) FROM orders_order o "
            "JOIN orders_instrument i ON i.id = o.instrument_id WHERE o.status < 2 AND i.symbol = %s GROUP BY 1, 2",
            symbol,
        )
        expected = {(side, price): (quantity, count) for side, price, quantity, count in levels}
        for web in self.topology.web():
            wait_for(
                lambda web=web: self._shown(web, symbol) == expected,
                f"{web.name} shows another book of {symbol}",
                10,
                self.topology.tails,
            )

    def _shown(self, web: Web, symbol: str) -> dict[tuple[int, int], tuple[int, int]]:
        status, book = web.request("GET", f"/api/v1/instruments/{symbol}/book?depth=1000")
        if status != 200:
            return {}
        return {
            (side, UNITS.price(price)): (UNITS.quantity(quantity), count)
            for side, name in ((0, "bids"), (1, "asks"))
            for price, quantity, count in book[name]
        }

    def heard(self) -> None:
        """No execution is missing: what the account's log says is what its reader heard."""
        listener = self.crew.listener
        assert listener is not None
        found = self.topology.rows(
            "SELECT max(id) FROM orders_event WHERE account_id = %s AND order_id IS NOT NULL GROUP BY id >> 48",
            self.crew.heard_account,
        )
        last = {id >> 48: id & SEQUENCE_MASK for (id,) in found}
        wait_for(lambda: listener.last == last, f"the reader is at {listener.last} of {last}", 15, self.topology.tails)
        self.crew.raise_errors()
