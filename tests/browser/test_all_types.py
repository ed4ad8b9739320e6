"""Orders of every type on the page: what the ticket asks for, what waits among the open orders, and auctions."""

from typing import Any

import pytest

from tests.browser.screen import Screen
from tests.browser.site import Site

VISIBLE = """
return [...document.querySelectorAll("#ticket [data-field]")].filter((box) => box.checkVisibility())
  .map((box) => box.dataset.field);
"""
MOST = ["price", "quantity", "time_in_force"]
# The choice made (type, bracket, stop loss) and the fields that are then there.
FIELDS: list[tuple[tuple[str, bool, str], list[str]]] = [
    (("limit", False, "stop"), MOST),
    (("market", False, "stop"), ["quantity"]),
    (("stop", False, "stop"), ["stop_price", "quantity", "time_in_force"]),
    (("stop_limit", False, "stop"), ["stop_price", *MOST]),
    (("trailing_stop", False, "stop"), ["trail", "quantity", "time_in_force"]),
    (("oco", False, "stop"), [*MOST, "stop_loss.stop_price"]),
    (("oco", False, "stop_limit"), [*MOST, "stop_loss.stop_price", "stop_loss.price"]),
    (("oco", False, "trail_price"), [*MOST, "stop_loss.trail"]),
    (("limit", True, "stop"), [*MOST, "take_profit.price", "stop_loss.stop_price"]),
    (("market", True, "trail_percent"), ["quantity", "take_profit.price", "stop_loss.trail"]),
    (
        ("stop", True, "stop_limit"),
        ["stop_price", *MOST[1:], "take_profit.price", "stop_loss.stop_price", "stop_loss.price"],
    ),
]


def open_orders(site: Site, user: str = "alice") -> list[dict[str, Any]]:
    return site.rest("GET", "orders?status=open", user=user)["results"]


def check(screen: Screen, selector: str, wanted: bool) -> None:
    if screen.find(selector).is_selected() != wanted:
        screen.find(selector).click()


def trade_at(site: Site, price: str) -> None:
    """Bob sells to the admin, so that this is the last price."""
    site.order("sell", "0.001", price)
    site.order("buy", "0.001", price, user="admin", time_in_force="ioc")


def test_the_ticket_asks_for_what_the_type_needs(screen: Screen):
    screen.sign_in("alice")
    for (kind, bracket, loss), expected in FIELDS:
        if kind != "oco":
            screen.choose(kind)
            check(screen, "#bracket", bracket)
        else:
            screen.choose(kind)
        screen.select("#stop-kind", loss)
        assert screen.driver.execute_script(VISIBLE) == expected, (kind, bracket, loss)
    lives = {"limit": 5, "stop": 3, "stop_limit": 5, "trailing_stop": 3, "oco": 3}
    for kind, count in lives.items():
        screen.choose(kind)
        assert len(screen.all("#time-in-force option:not([hidden])")) == count, kind
    screen.choose("limit")
    screen.select("#time-in-force", "gtd")
    assert "expires_at" in screen.driver.execute_script(VISIBLE)
    screen.choose("trailing_stop")
    screen.select("#trail-by", "percent")
    assert screen.text("#trail-unit") == "%"


def test_a_stop_waits_is_amended_and_fires(screen: Screen, site: Site):
    site.order("buy", "10", "99.00")
    screen.sign_in("alice")
    screen.choose("stop")
    screen.find(".sides .sell input").click()
    screen.type("#stop-price", "99.50")
    screen.type("#quantity", "2")
    screen.until(lambda: screen.text("#preview") == "Would wait for the last price.", "the preview")
    screen.find("#place").click()
    screen.until(lambda: "waits for the last price" in screen.text("#ticket-status"), "the order to wait")
    screen.until(lambda: screen.text("#orders .stop") == "≤ 99.50", "its stop price")
    assert screen.text("#orders .terms") == "stop, until canceled"
    assert screen.book()["asks"] == []

    screen.button("99.50", "Amend").click()
    fields = [field.get_attribute("name") for field in screen.all("#orders .editor input")]
    assert fields == ["stop_price", "quantity"]
    screen.type("#orders .editor input[name=stop_price]", "99.005")
    screen.find("#orders .editor button[type=submit]").click()
    screen.until(lambda: "tick" in screen.text("#orders .editor .note"), "a refusal beside the form")
    screen.type("#orders .editor input[name=stop_price]", "99.20")
    screen.find("#orders .editor button[type=submit]").click()
    screen.until(lambda: screen.text("#orders .stop") == "≤ 99.20", "the new stop price")

    site.order("sell", "1", "99.00", user="admin")
    screen.until(lambda: not screen.all("#orders tr"), "the stop to have fired")
    screen.until(lambda: screen.text("#fills tr").startswith("Sold 99.00 2.000"), "its fill")


def test_a_trailing_stop_follows_the_market_on_the_page(screen: Screen, site: Site):
    trade_at(site, "100.00")
    screen.sign_in("alice")
    screen.choose("trailing_stop")
    screen.find(".sides .sell input").click()
    screen.select("#trail-by", "percent")
    screen.type("#trail", "1.5")
    screen.type("#quantity", "1")
    screen.find("#place").click()
    screen.until(lambda: screen.text("#orders .stop") == "≤ 98.50, trails 1.50 %", "where it stands")
    trade_at(site, "110.00")
    screen.until(lambda: screen.text("#orders .stop") == "≤ 108.35, trails 1.50 %", "that it has followed")
    (order,) = open_orders(site)
    assert (order["trail_percent"], order["stop_price"], order["status"]) == ("1.50", "108.35", "untriggered")


def test_an_iceberg_shows_its_tip(screen: Screen, site: Site):
    screen.sign_in("alice")
    screen.find(".more summary").click()
    screen.type("#display", "2")
    screen.place("buy", "20", "99.00")
    screen.until(lambda: screen.text("#orders .quantity") == "20.000 shows 2.000", "tip and total")
    screen.until(lambda: screen.book()["bids"] == [["99.00", "2.000", 1]], "only the tip in the book")
    assert screen.text("#bids .mine") == "20.000"
    site.order("sell", "5", "99.00")
    screen.until(lambda: screen.text("#orders .filled").endswith("5.000"), "the fills of three tips")
    screen.until_book_equals_rest()
    assert screen.book()["bids"] == [["99.00", "1.000", 1]]


def test_one_cancels_the_other(screen: Screen, site: Site):
    screen.sign_in("alice")
    screen.choose("oco")
    screen.find(".sides .sell input").click()
    screen.type("#price", "105")
    screen.type("#quantity", "3")
    screen.type("#loss-stop", "95")
    screen.find("#place").click()
    screen.until(lambda: len(screen.all("#orders tr")) == 2, "both orders")
    assert [row.get_attribute("data-linked") for row in screen.all("#orders tr")] == ["first", "last"]
    assert screen.text("#orders .relation") == "OCO"
    site.order("buy", "1", "105", time_in_force="ioc")
    screen.until(
        lambda: {order["remaining_quantity"] for order in open_orders(site)} == {"2.000"}, "both to be smaller"
    )
    screen.button("≤ 95.00", "Cancel").click()
    screen.until(lambda: not screen.all("#orders tr"), "both to be gone")
    assert open_orders(site) == []


def test_a_bracket_from_entry_to_profit(screen: Screen, site: Site):
    screen.sign_in("alice")
    screen.find("#bracket").click()
    screen.select("#stop-kind", "trail_price")
    for selector, text in (("#take-profit", "103"), ("#loss-trail", "2")):
        screen.type(selector, text)
    screen.place("buy", "4", "100")
    screen.until(lambda: len(screen.all("#orders tr")) == 3, "entry, take profit and stop loss")
    relations = [node.text for node in screen.all("#orders .relation")]
    assert relations == ["entry of a bracket", "take profit, waits for the entry", "stop loss, waits for the entry"]
    assert [level[0] for level in screen.book()["asks"]] == []
    screen.button("100.00", "Amend").click()
    assert [field.get_attribute("name") for field in screen.all("#orders .editor input")] == ["price"]
    screen.find("#orders .editor button.quiet").click()

    site.order("sell", "4", "100")
    screen.until(lambda: screen.book()["asks"] == [["103.00", "4.000", 1]], "the take profit to be in the book")
    screen.until(
        lambda: [row.text for row in screen.all("#orders .relation")] == ["take profit", "stop loss"], "a pair"
    )
    site.order("buy", "4", "103")
    screen.until(lambda: not screen.all("#orders tr"), "the stop loss to be gone with it")
    screen.until(lambda: screen.text("#fills tr").startswith("Sold 103.00 4.000"), "the profit")


BAD = [
    ("limit", {"price": "100", "quantity": "1", "display": "1"}, "display", "Show less than the quantity"),
    ("stop", {"stop-price": "", "quantity": "1"}, "stop-price", "Enter a stop price."),
    ("stop", {"stop-price": "1.005", "quantity": "1"}, "stop-price", "multiple of the tick, 0.01"),
    (
        "oco",
        {"price": "100", "quantity": "1", "loss-stop": "99"},
        "loss-stop",
        "The stop price must be above the price.",
    ),
]


def test_what_cannot_be_is_told_beside_the_field(screen: Screen, site: Site):
    screen.sign_in("alice")
    screen.driver.execute_script("document.querySelector('.more').open = true")
    for kind, texts, field, words in BAD:
        screen.choose(kind)
        for name, text in texts.items():
            screen.type(f"#{name}", text)
        screen.find("#place").click()
        screen.until(lambda field=field, words=words: words in screen.text(f"#{field}-note"), words)
        assert screen.find(f"#{field}").get_attribute("aria-invalid") == "true"
        assert screen.driver.switch_to.active_element.get_attribute("id") == field
    assert open_orders(site) == []


def test_what_the_service_says_of_a_field_is_beside_it_too(screen: Screen, site: Site):
    """Whatever slips past the page's own checks: here the request is spoiled on its way."""
    screen.sign_in("alice")
    screen.driver.execute_script(
        "const send = fetch; window.fetch = (path, options) => send(path, options?.body && path.endsWith('/orders')"
        ' ? {...options, body: options.body.replace(\'"price":"1"\', \'"price":"x"\')} : options)'
    )
    screen.place("buy", "1", "1")
    screen.until(lambda: screen.text("#price-note") != "", "a note beside the price")
    assert screen.text("#ticket-status") == "Not placed: see the fields above."
    assert screen.driver.switch_to.active_element.get_attribute("id") == "price"


def test_the_preview_says_what_would_happen(screen: Screen, site: Site):
    site.order("sell", "1", "100.00")
    site.order("sell", "1", "100.10")
    screen.sign_in("alice")
    screen.until_book_equals_rest()
    screen.type("#price", "100.10")
    screen.type("#quantity", "3")
    expected = "Would fill 2.000 ACME at 100.05 on average over 2 prices, wait in the book at 100.10, first in line."
    screen.until(lambda: screen.text("#preview") == expected, expected)
    site.order("sell", "1", "100.05")
    screen.until(lambda: "fill 3.000 ACME" in screen.text("#preview"), "the preview to follow the market")
    screen.choose("market")
    screen.type("#quantity", "1")
    screen.until(lambda: screen.text("#preview") == "Would fill 1.000 ACME at 100.00.", "a market order's")
    screen.choose("limit")
    screen.find("#post-only").click()
    screen.until(lambda: "refused: a post-only order would trade at once" in screen.text("#preview"), "a refusal")
    assert screen.find("#preview").get_attribute("data-kind") == "bad"
    assert open_orders(site) == []


def test_an_auction_from_the_call_to_the_uncross(screen: Screen, site: Site):
    screen.sign_in("alice")
    site.set_phase("ACME-USD", "auction", lasts_seconds="3600")
    screen.until(lambda: screen.text("#phase") == "Auction", "the phase")
    screen.until(lambda: screen.text("#phase-until").startswith("open in 59:"), "its end")
    assert not screen.find("#indicative-price").is_displayed()
    for side, quantity, price in (("buy", "5", "100.05"), ("buy", "2", "99.00"), ("sell", "3", "99.95")):
        site.order(side, quantity, price)
    screen.until(lambda: screen.text("#indicative-price") == "100.05", "the indicative price")
    assert (screen.text("#indicative-volume"), screen.text("#indicative-surplus")) == ("3.000", "2.000 more to buy")
    screen.until(lambda: "Auction at 100.05: 3.000 would trade" in screen.text("#middle-text"), "it in the ladder")
    crossing = [row.get_attribute("data-price") for row in screen.all("#ladder tr[data-crosses]")]
    assert crossing == ["99.95", "100.05"]
    screen.place("sell", "4", "100.00")
    screen.until(lambda: screen.text("#indicative-volume") == "5.000", "our order to count")
    screen.until(lambda: screen.text("#indicative-surplus") == "2.000 more to sell", "the surplus to turn")

    site.set_phase("ACME-USD", "resume")
    screen.until(lambda: screen.text("#phase") == "Open", "trading")
    screen.until(lambda: screen.text("#fills tr").startswith("Sold 100.00 2.000"), "what was ours")
    screen.until_book_equals_rest()
    assert not screen.find("#indicative-price").is_displayed()
    assert screen.text("#middle-text").startswith("Spread")


@pytest.mark.parametrize("change", ["halt", "close"])
def test_a_market_that_takes_no_orders_says_so(screen: Screen, site: Site, change: str):
    screen.sign_in("alice")
    site.set_phase("ACME-USD", change)
    word = {"halt": "Halted", "close": "Closed"}[change]
    screen.until(lambda: screen.text("#phase") == word, word)
    screen.place("buy", "1", "99")
    screen.until(lambda: "Not placed." in screen.text("#ticket-status"), "a refusal")
    screen.until(lambda: screen.text("#place") == "Buy ACME", "the button to be back")
