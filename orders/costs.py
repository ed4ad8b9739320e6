"""What an open position cost, by the average-cost method, in price units times quantity units: exact but for one rounding.

Theory of operation
-------------------
* The cost is signed like the position: positive what a long one was bought for, negative what a short one was sold for.
* A trade that enlarges the position adds its value. One that reduces it takes away the same share of the cost as of the
  position, so that the average price stays; one that turns it around opens the rest at its own price.
* The only rounding: what a reduced position still costs is rounded to the nearest whole unit (a half away from zero). A
  position of nothing costs nothing, so no error outlives a position.
* Then profit and loss need no division: realized ``sold - bought + cost``, unrealized ``net * price - cost``.

The order of an account's trades matters to this, also that of both sides of a trade with itself: the maker's comes first.
"""


def cost_after(net: int, cost: int, units: int, price: int) -> int:
    """What a position of ``net`` units that cost ``cost`` costs after a trade of ``units`` (sold: below 0) at a price."""
    left = net + units
    if net * units >= 0:
        return cost + units * price
    if net * left < 0:
        return left * price
    kept = (2 * abs(cost * left) + abs(net)) // (2 * abs(net))
    return kept if net > 0 else -kept
