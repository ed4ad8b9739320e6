"""What funded accounts can pay for: balances, and what resting orders reserve, added up afresh each time."""

from __future__ import annotations

from tests.twin.state import State, TwinOrder

# One unit of a currency; the twin's instruments have no decimals, so prices and quantities are whole ones.
MONEY = 10**24
MAX_MONEY = 10**39 - 1
AT_MARKET = ("market", "stop", "trailing_stop")


class Funds(State):
    def transfer(self, account: int, currency: str, amount: int) -> None:
        """Pay in, or (a negative amount) out."""
        deposits = self.accounts[account].deposits
        after = deposits.get(currency, 0) + amount
        if not amount or not currency or abs(amount) > MAX_MONEY or abs(after) > MAX_MONEY:
            return self.refuse("invalid_request")
        if amount < 0 and self.available(account, currency) + amount < 0:
            return self.refuse("insufficient_funds")
        deposits[currency] = after
        self.tell_of("transferred", account)

    def available(self, account: int, currency: str) -> int:
        found = self.accounts[account].deposits.get(currency, 0)
        for number, instrument in self.instruments.items():
            traded = self.traded.get((account, number), {"buy": [0, 0], "sell": [0, 0]})
            bought, sold = traded["buy"], traded["sell"]
            if instrument.base == currency:
                found += (bought[0] - sold[0]) * MONEY
            if instrument.quote == currency:
                found += (sold[1] - bought[1]) * MONEY
        for order in self.open:
            if order.account == account and order.where == "book" and self.currency(order) == currency:
                found -= self.cost(order)
        return found

    def currency(self, order: TwinOrder) -> str:
        instrument = self.instruments[order.instrument]
        return instrument.quote if order.side == "buy" else instrument.base

    def cost(self, order: TwinOrder) -> int:
        """What the order could cost: of its currency, in money."""
        if order.side == "sell":
            return order.remaining * MONEY
        if order.type in AT_MARKET:
            return self.cost_at_market(order)
        return order.price * order.remaining * MONEY

    def cost_at_market(self, order: TwinOrder) -> int:
        """What a buy without a limit would take now; own orders it would not trade with do not count."""
        reference = self.instruments[order.instrument].reference
        left, cost = order.remaining, 0
        for maker in self.resting(order.instrument, "sell"):
            if self.beyond_collar(order.instrument, "buy", maker.price, reference):
                break
            if maker.account == order.account and order.stp != "none":
                continue
            taken = min(left, maker.remaining)
            left -= taken
            cost += maker.price * taken * MONEY
        return cost

    def can_pay(self, order: TwinOrder, before: TwinOrder | None = None) -> bool:
        """Whether the account has what the order could cost; ``before``, amended, has reserved some of it already."""
        if not self.accounts[order.account].funded:
            return True
        has = self.available(order.account, self.currency(order)) + (self.cost(before) if before else 0)
        return self.cost(order) <= has
