"""The market page in a real browser, against a real server, with somebody else trading over REST."""

from tests.browser.screen import Screen
from tests.browser.site import Site


def test_one_order_the_whole_path(screen: Screen, site: Site):
    """Sign in, place, see the match, amend, cancel."""
    screen.sign_in("alice")
    assert screen.text("#orders-empty") == "No open orders in ACME-USD."
    screen.place("buy", "5", "99.98")
    screen.until(lambda: "in the book" in screen.text("#ticket-status"), "the order to be in the book")
    screen.until(lambda: "99.98" in screen.text("#orders"), "the order among the open orders")
    screen.until(lambda: "5.000" in screen.text('#bids tr[data-own="true"]'), "our mark in the ladder")
    screen.until_book_equals_rest()

    site.order("sell", "2", "99.90")
    screen.until(lambda: "99.98 2.000" in screen.text("#tape tr"), "the trade on the tape")
    screen.until(lambda: screen.text("#fills tr").startswith("Bought 99.98 2.000"), "our fill")
    screen.until(lambda: "Bought 2.000 ACME at 99.98." in screen.text("#notices"), "our fill to be announced")
    screen.until(lambda: screen.text("#orders .filled").endswith("2.000"), "the order to be part filled")
    assert screen.text("#last-price").startswith("99.98")
    screen.until_book_equals_rest()

    screen.button("99.98", "Amend").click()
    screen.type("#orders .editor input[name=price]", "99.50")
    screen.type("#orders .editor input[name=quantity]", "4")
    screen.find("#orders .editor button[type=submit]").click()
    screen.until(lambda: "99.50 4.000" in screen.text("#orders tr"), "the new terms")
    screen.until(lambda: "new place in the queue" in screen.text("#notices"), "the amend to be announced")
    screen.until_book_equals_rest()
    (order,) = site.rest("GET", "orders?status=open", user="alice")["results"]
    assert (order["price"], order["quantity"], order["remaining_quantity"]) == ("99.50", "4.000", "2.000")

    screen.button("99.50", "Cancel").click()
    screen.until(lambda: not screen.all("#orders tr"), "the order to be gone")
    assert site.rest("GET", f"orders/{order['id']}", user="alice")["status"] == "canceled"
    screen.until_book_equals_rest()
    assert screen.book() == {"bids": [], "asks": []}
    assert "empty" in screen.text("#middle-text")


def test_cancel_all(screen: Screen, site: Site):
    screen.sign_in("alice")
    for price in ("99.10", "99.20", "99.30"):
        site.order("buy", "1", price, user="alice")
    site.order("buy", "1", "99.40", user="bob")
    screen.until(lambda: len(screen.all("#orders tr")) == 3, "three open orders, placed elsewhere")
    assert screen.text("#orders-count") == "3"
    screen.find("#cancel-all").click()
    screen.until(lambda: not screen.all("#orders tr"), "no open orders")
    screen.until(lambda: "Canceled 3 orders." in screen.text("#notices"), "the cancel to be announced")
    assert [level[0] for level in site.book()["bids"]] == ["99.40"]


def test_a_market_order_and_what_became_of_it(screen: Screen, site: Site):
    site.order("sell", "1.5", "100.10")
    screen.sign_in("alice")
    screen.choose("market")
    screen.type("#quantity", "2")
    screen.until(lambda: screen.text("#value") == "more than the book shows", "an honest estimate")
    screen.type("#quantity", "1")
    screen.until(lambda: screen.text("#value") == "100.10", "what it will cost")
    screen.type("#quantity", "2")
    screen.find("#place").click()
    screen.until(lambda: "1.500 traded at 100.10" in screen.text("#ticket-status"), "what traded")
    assert "nobody was there to trade with" in screen.text("#ticket-status")


BAD_INPUT = [
    ("", "1", "price", "Enter a price."),
    ("1e5", "1", "price", "digits and a point"),
    ("99,5", "1", "price", "digits and a point"),
    ("٩٩", "1", "price", "digits and a point"),
    ("99.985", "1", "price", "multiple of the tick, 0.01"),
    ("9" * 20, "1", "price", "too large"),
    ("99.98", "0.0001", "quantity", "multiple of the step, 0.001"),
    ("99.98", "0", "quantity", "more than zero"),
]


def test_what_cannot_be_is_told_beside_the_field(screen: Screen, site: Site):
    screen.sign_in("alice")
    for price, quantity, field, words in BAD_INPUT:
        screen.place("buy", quantity, price)
        screen.until(lambda field=field, words=words: words in screen.text(f"#{field}-note"), words)
        assert screen.find(f"#{field}").get_attribute("aria-invalid") == "true"
        assert screen.driver.switch_to.active_element.get_attribute("id") == field
    assert site.rest("GET", "orders?status=open", user="alice")["results"] == []


def test_a_refusal_is_told_in_words_and_interrupts(screen: Screen, site: Site):
    site.order("sell", "1", "100.00")
    screen.sign_in("alice")
    screen.find("#post-only").click()
    screen.place("buy", "1", "100.00")
    screen.until(lambda: "Not placed." in screen.text("#ticket-status"), "a refusal")
    assert "post-only order would trade at once" in screen.text("#ticket-status")
    assert screen.find("#ticket-status").get_attribute("role") == "alert"
    assert screen.text("#place") == "Buy ACME"


def test_a_visitor_sees_the_market_move(screen: Screen, site: Site):
    screen.open("/market/ACME-USD")
    screen.until(lambda: screen.text("#badge-state") == "Live", "live")
    screen.until(lambda: "empty" in screen.text("#middle-text"), "the empty book to say so")
    assert "Sign in to trade" in screen.text(".ticket")
    for number in range(1, 15):
        site.order("buy", f"{number}", f"{100 - number}.00")
        site.order("sell", f"{number}.5", f"{100 + number}.00")
    screen.until_book_equals_rest()
    assert screen.text("#middle-text").startswith("Spread 2.00 USD")
    assert (screen.text("#best-bid"), screen.text("#best-ask")) == ("99.00", "101.00")
    site.order("sell", "1.5", "99.00", user="alice", time_in_force="ioc")
    screen.until_book_equals_rest()
    screen.until(lambda: "99.00 1.000" in screen.text("#tape tr"), "the trade")


def test_by_keyboard_alone(screen: Screen, site: Site):
    """From the ladder into the ticket and away with it."""
    for price in ("100.01", "100.02"):
        site.order("sell", "1", price)
    screen.sign_in("alice")
    screen.until_book_equals_rest()
    keys = {"down": "\ue015", "up": "\ue013", "enter": "\ue007"}
    stops = screen.all('#ladder button[tabindex="0"]')
    assert len(stops) == 1, "the ladder is one tab stop"
    screen.driver.execute_script("arguments[0].focus()", stops[0])
    assert screen.driver.switch_to.active_element.text == "100.01"
    screen.driver.switch_to.active_element.send_keys(keys["up"])
    assert screen.driver.switch_to.active_element.text == "100.02"
    screen.driver.switch_to.active_element.send_keys(keys["enter"])
    assert screen.find("#price").get_attribute("value") == "100.02"
    quantity = screen.driver.switch_to.active_element
    assert quantity.get_attribute("id") == "quantity"
    quantity.send_keys("5" + keys["enter"])
    screen.until(lambda: "2.000 traded at 100.02" in screen.text("#ticket-status"), "the order")
    (order,) = site.rest("GET", "orders?status=open", user="alice")["results"]
    assert (order["price"], order["filled_quantity"], order["remaining_quantity"]) == ("100.02", "2.000", "3.000")


def test_signing_out(screen: Screen):
    screen.sign_in("alice")
    screen.find(".who button").click()
    screen.until(lambda: "Sign in to trade" in screen.text(".ticket"), "signed out, on the same page")
    assert screen.driver.current_url.endswith("/market/ACME-USD")


def test_picking_another_instrument(screen: Screen):
    screen.open("/")
    screen.until(lambda: screen.text("#badge-state") == "Live", "live")
    screen.find("#picker summary").click()
    assert "BTC in USD" in screen.text("#picker nav")
    screen.find('#picker nav a[href="/market/BTC-USD"]').click()
    screen.until(lambda: screen.driver.current_url.endswith("/market/BTC-USD"), "the other market")
    screen.until(lambda: screen.text("#badge-state") == "Live", "live there too")
