"""Phases and the uncross: one price for all, found by trying every price there is."""

from __future__ import annotations

from tests.twin.book import Book
from tests.twin.state import PHASES, TwinOrder


class Auction(Book):
    def change_phase(self, number: int, phase: str, until: int, reason: str) -> None:
        """Enter a phase, and uncross where that opens or closes the market. Followers and stops are the caller's."""
        instrument = self.instruments[number]
        if (phase, until) == (instrument.phase, instrument.phase_until):
            return
        before, instrument.phase, instrument.phase_until = instrument.phase, phase, until
        self.tell_of("phase_changed", number, PHASES.index(phase), reason=reason)
        if phase == before:
            return
        if phase == "continuous" or (phase == "closed" and before in ("auction", "no_cancel")):
            self.uncross(number)

    def uncross(self, number: int) -> None:
        price, volume = self.auction_price(number)
        if not volume:
            return
        self.tell_of("uncrossed", number, volume, price)
        while volume:
            buy, sell = self.resting(number, "buy")[0], self.resting(number, "sell")[0]
            maker, taker = sorted((buy, sell), key=lambda one: one.priority)
            quantity = min(buy.tip, sell.tip, volume)
            self.trade(maker, taker, price, quantity)
            volume -= quantity

    def auction_price(self, number: int) -> tuple[int, int]:
        """(price, volume) of the uncross there would be now, (0, 0) where nothing crosses."""
        buys, sells = self.resting(number, "buy"), self.resting(number, "sell")
        if not buys or not sells or buys[0].price < sells[0].price:
            return 0, 0
        prices = self.candidates(number, buys, sells)
        outcome = {price: self.outcome(price, buys, sells) for price in prices}
        most = max(volume for volume, _ in outcome.values())
        prices = [price for price in prices if outcome[price][0] == most]
        least = min(abs(outcome[price][1]) for price in prices)
        prices = [price for price in prices if abs(outcome[price][1]) == least]
        surpluses = [outcome[price][1] for price in prices]
        reference = self.instruments[number].reference
        if all(surplus > 0 for surplus in surpluses):
            return max(prices), most
        if all(surplus < 0 for surplus in surpluses) or not reference:
            return min(prices), most
        return min(prices, key=lambda price: (abs(price - reference), -price)), most

    def candidates(self, number: int, buys: list[TwinOrder], sells: list[TwinOrder]) -> list[int]:
        """Every tick between the best ask and the best bid, and the orders' own prices there."""
        low, high = sells[0].price, buys[0].price
        tick = self.instruments[number].price_tick
        ticks = set(range(-(-low // tick) * tick, high + 1, tick))
        return sorted(ticks | {one.price for one in buys + sells if low <= one.price <= high})

    def outcome(self, price: int, buys: list[TwinOrder], sells: list[TwinOrder]) -> tuple[int, int]:
        """(volume, surplus) at a price; a surplus of buyers is positive."""
        wanted = sum(one.remaining for one in buys if one.price >= price)
        offered = sum(one.remaining for one in sells if one.price <= price)
        return min(wanted, offered), wanted - offered
