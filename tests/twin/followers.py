"""What follows by itself: linked orders after their relatives, stops after the last price."""

from __future__ import annotations

from tests.twin.auction import Auction
from tests.twin.state import TwinGroup, TwinOrder


class Followers(Auction):
    def settle(self, number: int) -> None:
        """Linked orders first, in the order in which they were caused; then one stop; then all again, until it is quiet."""
        while True:
            while self.caused:
                self.follow(self.caused.pop(0))
            self.ratchet(number)
            stop = self.next_stop(number)
            if stop is None:
                return
            self.fire(stop)

    # Linked orders

    def follow(self, group: TwinGroup) -> None:
        if group.stage == "entry":
            return self.follow_entry(group)
        if group.stage == "pair":
            one, other = group.orders[-2:]
            if not (one.is_alive and other.is_alive):
                return self.dissolve(group)
            smaller, larger = sorted((one, other), key=lambda order: order.remaining)
            if smaller.remaining != larger.remaining:
                self.lose(larger, larger.remaining - smaller.remaining, "linked_order")

    def follow_entry(self, group: TwinGroup) -> None:
        entry, *children = group.orders
        if entry.is_alive:
            if not all(child.is_alive for child in children):
                self.dissolve(group)
        elif not entry.filled or not all(child.is_alive for child in children):
            self.dissolve(group)
        else:
            group.stage = "pair"
            for child in children:
                self.release(child, entry.filled)

    def dissolve(self, group: TwinGroup) -> None:
        group.stage = "over"
        for order in group.orders:
            if order.is_alive:
                self.end(order, "linked_order")

    def release(self, child: TwinOrder, quantity: int) -> None:
        self.leave(child)
        child.quantity = child.remaining = quantity
        child.priority = self.sequence
        child.status = "untriggered" if child.type != "limit" else "new"
        self.tell("released", child, quantity)
        if child.type == "limit":
            self.execute(child)
        else:
            self.arm(child, 0)

    # Stops

    def arm(self, stop: TwinOrder, best: int) -> None:
        """Begin to wait. A trailing stop starts from ``best``, or from the last price when stops are looked at next."""
        stop.where = "waiting"
        stop.best = best
        self.open.append(stop)

    def ratchet(self, number: int) -> None:
        last = self.instruments[number].last
        for stop in self.open:
            if last and stop.instrument == number and stop.where == "waiting":
                better = min if stop.side == "buy" else max
                stop.best = better(stop.best or last, last)

    def next_stop(self, number: int) -> TwinOrder | None:
        instrument = self.instruments[number]
        last = instrument.last
        if instrument.phase != "continuous" or not last:
            return None
        waiting = [one for one in self.open if one.instrument == number and one.where == "waiting"]
        buys = [one for one in waiting if one.side == "buy" and last >= one.trigger]
        sells = [one for one in waiting if one.side == "sell" and last <= one.trigger]
        first = [min(buys, key=lambda one: (one.trigger, one.priority))] if buys else []
        first += [min(sells, key=lambda one: (-one.trigger, one.priority))] if sells else []
        return min(first, key=lambda one: one.priority, default=None)

    def fire(self, stop: TwinOrder) -> None:
        """The other of its pair goes first; then it is an order like any other."""
        if stop.group and stop.group.stage == "pair":
            stop.group.stage = "over"
            for order in stop.group.orders[-2:]:
                if order is not stop and order.is_alive:
                    self.end(order, "linked_order")
        self.leave(stop)
        stop.status, stop.priority = "new", self.sequence
        self.tell("triggered", stop, stop.remaining, other=self.instruments[stop.instrument].last)
        self.execute(stop)
