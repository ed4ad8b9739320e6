"""What the page does when the server dies, hangs, or an answer gets lost on the way."""

from pathlib import Path

from tests.browser.screen import Screen
from tests.browser.site import Site

# The page calls silence stale after 10 s and gives up a connection that does not open after 6; reconnects take up to 8.
LONG = 40.0

# The next POST is carried out, but its answer does not arrive.
LOSE_ONE_ANSWER = """
const real = window.fetch;
window.fetch = async (path, options) => {
  const answer = await real(path, options);
  if (options?.method !== "POST") return answer;
  window.fetch = real;
  throw new TypeError("lost on purpose");
};
"""

# The next POST is answered 503 without being carried out, the one after that 504.
REFUSE_TWICE = """
const real = window.fetch;
const answers = [["engine_unavailable", 503, "not_accepted"], ["engine_timeout", 504, "unknown"]];
window.fetch = async (path, options) => {
  if (options?.method !== "POST" || !answers.length) return real(path, options);
  const [code, status, outcome] = answers.shift();
  const body = {code, status, outcome, title: code, detail: code, errors: [], retryable: true};
  return new Response(JSON.stringify(body), {status, headers: {"Content-Type": "application/problem+json"}});
};
"""

# Drops the next message that holds the text in window.drop, and keeps what the page sends.
UNRELIABLE = """
const Real = WebSocket;
window.sent = [];
window.drop = null;
window.WebSocket = class extends Real {
  send(text) { sent.push(JSON.parse(text)); super.send(text); }
  set onmessage(handler) {
    super.onmessage = (event) => {
      if (drop && event.data.includes(drop)) drop = null;
      else handler(event);
    };
  }
};
"""


def open_orders(site: Site) -> list[dict]:
    return site.rest("GET", "orders?status=open", user="alice")["results"]


def test_a_killed_server_comes_back_and_nothing_is_lost_or_doubled(screen: Screen, site: Site):
    screen.sign_in("alice")
    site.order("buy", "3", "99.00", user="alice")
    site.order("sell", "7", "101.00")
    screen.until_book_equals_rest()

    site.kill()
    screen.until(lambda: screen.text("#badge-state") == "Reconnecting", "the badge to say so")
    assert screen.book()["bids"] == [["99.00", "3.000", 1]], "the last known book stays"
    screen.place("buy", "1.25", "98.00")
    screen.until(lambda: "same order id" in screen.text("#ticket-status"), "the ticket to try again")
    site.start()

    screen.until(lambda: screen.text("#badge-state") == "Live", "live again", LONG)
    screen.until(lambda: "in the book" in screen.text("#ticket-status"), "the order to be placed", LONG)
    screen.until_book_equals_rest()
    assert sorted(order["price"] for order in open_orders(site)) == ["98.00", "99.00"]
    screen.until(lambda: len(screen.all("#orders tr")) == 2, "both open orders")
    # The feed is whole again: what happens now is seen.
    site.order("sell", "1", "99.00")
    screen.until(lambda: "Bought 1.000 ACME at 99.00." in screen.text("#notices"), "a fill after the restart")
    screen.until_book_equals_rest()


def test_fills_while_the_page_was_away_are_told_afterwards(screen: Screen, site: Site):
    site.order("buy", "3", "99.00", user="alice")
    screen.sign_in("alice")
    screen.until(lambda: screen.all("#orders tr"), "the open order")
    screen.driver.execute_cdp_cmd("Network.enable", {})
    screen.driver.execute_script("dispatchEvent(new Event('offline'))")  # the page drops its connection
    screen.until(lambda: screen.text("#badge-state") == "Reconnecting", "the connection to be gone", 2)
    site.order("sell", "1", "99.00")
    screen.until(lambda: "Bought 1.000 ACME at 99.00." in screen.text("#notices"), "the fill it missed")
    screen.until(lambda: screen.text("#badge-state") == "Live", "live again")
    screen.until(lambda: screen.text("#orders .filled").endswith("1.000"), "the order to be part filled")
    assert len(screen.all("#fills tr")) >= 1
    screen.until_book_equals_rest()


def test_a_server_that_hangs_is_called_stale(screen: Screen, site: Site, pictures: Path):
    screen.sign_in("alice")
    site.order("buy", "3", "99.00")
    screen.until_book_equals_rest()
    colour = "return getComputedStyle(document.querySelector('.ladder table')).filter"
    assert screen.driver.execute_script(colour) == "none"
    site.freeze()
    try:
        screen.until(lambda: screen.text("#badge-state") == "Stale", "the badge to say stale", LONG)
        assert "no data for 1" in screen.text("#badge-age")
        assert "grayscale" in screen.driver.execute_script(colour), "what may be wrong is grey"
        assert screen.book()["bids"] == [["99.00", "3.000", 1]], "and still there"
        screen.save(pictures / "stale.png")
    finally:
        site.thaw()
    screen.until(lambda: screen.text("#badge-state") == "Live", "live again", LONG)
    assert screen.driver.execute_script(colour) == "none"
    site.order("buy", "1", "99.50")
    screen.until_book_equals_rest()


def test_what_the_feed_skipped_is_noticed_and_repaired(screen: Screen, site: Site):
    """A book or tape with a hole is never shown on: the page subscribes again."""
    screen.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": UNRELIABLE})
    screen.open("/market/ACME-USD")
    screen.until(lambda: screen.text("#badge-state") == "Live", "live")
    site.order("buy", "5", "99.00")
    screen.until_book_equals_rest()
    for channel in ("book", "trades"):
        dropped = f'"channel":"{channel}","symbol":"ACME-USD","type":"update"'
        screen.driver.execute_script("window.drop = arguments[0]", dropped)
        site.order("sell", "1", "99.00", user="alice")
        screen.until(
            lambda: screen.driver.execute_script("return window.drop === null"), f"a {channel} message to be lost"
        )
        site.order("sell", "1.125", "99.00", user="alice")
        screen.until_book_equals_rest()
        screen.until(lambda: "99.00 1.125" in screen.text("#tape tr"), "the last trade")
        screen.until(lambda: "99.00 1.000" in screen.text("#tape tr:nth-child(2)"), "the one before it")
    script = "return window.sent.filter((m) => m.op === 'subscribe').map((m) => m.channel)"
    assert screen.driver.execute_script(script) == ["book", "trades", "instruments", "book", "trades"]


def test_a_lost_answer_is_asked_for_again_and_the_order_is_there_once(screen: Screen, site: Site):
    screen.sign_in("alice")
    screen.driver.execute_script(LOSE_ONE_ANSWER)
    screen.place("buy", "2", "97.00")
    screen.until(lambda: "in the book" in screen.text("#ticket-status"), "the answer")
    (order,) = open_orders(site)
    assert order["client_order_id"].startswith("web-")
    assert (order["price"], order["quantity"]) == ("97.00", "2.000")
    screen.until_book_equals_rest()


def test_503_and_504_are_tried_again_with_the_same_id(screen: Screen, site: Site):
    screen.sign_in("alice")
    screen.driver.execute_script(REFUSE_TWICE)
    screen.place("sell", "2", "103.00")
    screen.until(lambda: "attempt 3" in screen.text("#ticket-status"), "the third attempt")
    screen.until(lambda: "in the book" in screen.text("#ticket-status"), "the answer")
    assert len(open_orders(site)) == 1


def test_a_session_that_ended_says_so(screen: Screen):
    screen.sign_in("alice")
    screen.driver.delete_cookie("sessionid")
    screen.place("buy", "1", "99.00")
    screen.until(lambda: "Not placed." in screen.text("#ticket-status"), "the refusal")
    assert "Sign in" in screen.text("#ticket-status a")
