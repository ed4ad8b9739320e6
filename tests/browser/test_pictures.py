"""The page at the sizes and colours people have: nothing sticks out, everything can be read; pictures for the eye.

`OMS_SCREENSHOTS=docs/images pytest tests/browser/test_pictures.py` makes the picture of the README (market.png) anew.
"""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.browser.screen import Screen
from tests.browser.site import LEVELS, Site

SIZES = {"desktop": (1280, 800), "tablet": (900, 1000), "phone": (390, 844)}
THEMES = ("dark", "light")
OWN_ORDERS = (("buy", "12", "99.94"), ("sell", "2.25", "100.05"), ("sell", "26", "100.01"), ("buy", "30", "99.99"))

# WCAG AA for text; large and bold text may have less.
CONTRAST = 4.5
MEASURE_CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const rgb = (colour, under) => {
  canvas.fillStyle = `rgb(${under})`; canvas.fillRect(0, 0, 1, 1);
  canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
};
const ground = (node) => node === null ? [0, 0, 0]
  : rgb(getComputedStyle(node).backgroundColor, ground(node.parentElement));
const light = (colour) => colour.map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  if (!own || !node.checkVisibility({opacityProperty: true}) || node.matches(":disabled, .unseen, .skip")) continue;
  if (node.closest("svg, noscript, option, [aria-hidden]")) continue;
  const under = ground(node);
  const [one, two] = [light(rgb(getComputedStyle(node).color, under)), light(under)].sort((a, b) => b - a);
  found.push([(one + 0.05) / (two + 0.05), node.textContent.trim().slice(0, 30), node.className]);
}
return found;
"""

CUT_OFF = """
const seen = (node) => node.clientWidth > 0 && getComputedStyle(node).visibility === "visible";
const cut = (node) => seen(node) && node.scrollWidth > node.clientWidth + 1;
return [...document.querySelectorAll("#bids tr[data-price] td, .scroll")].filter(cut).map((node) => node.textContent);
"""


@pytest.fixture
def lively(screen: Screen, site: Site) -> Screen:
    """alice at a market where bob and the admin have been trading, always the same way."""
    rng = random.Random(11)
    for side, quantity, price in OWN_ORDERS:
        site.order(side, quantity, price, user="alice")
    site.rest("POST", "orders/batch", {"orders": [order for level in range(1, 18) for order in quotes(rng, level)]})
    screen.sign_in("alice")
    for _ in range(40):
        side, far = rng.choice((("buy", "100.04"), ("sell", "99.95")))
        quantity = f"{rng.randint(40, 2600) / 1000:.3f}"
        site.order(side, quantity, far, user="admin", time_in_force="ioc")
        side, level = rng.choice(("buy", "sell")), rng.randint(1, 4)
        price = 10_000 - level if side == "buy" else 10_000 + level
        site.order(side, f"{rng.randint(500, 5500) / 1000:.3f}", f"{price / 100:.2f}", post_only=True)
    screen.place("buy", "1.5", "99.97")
    screen.until(
        lambda: "in the book" in screen.text("#ticket-status") or "filled" in screen.text("#ticket-status"), "it"
    )
    screen.until_book_equals_rest()
    return screen


def quotes(rng: random.Random, level: int) -> list[dict[str, Any]]:
    """Some orders of both sides at a distance from 100.00."""
    found = []
    for _ in range(rng.randint(1, 4)):
        for side, cents in (("buy", 10_000 - level), ("sell", 10_000 + level)):
            quantity = f"{rng.randint(500, 9000) / 1000:.3f}"
            found.append({"symbol": "ACME-USD", "side": side, "quantity": quantity, "price": f"{cents / 100:.2f}"})
    return found


def test_nothing_sticks_out_and_everything_can_be_read(lively: Screen, pictures: Path):
    for theme in THEMES:
        for name, (width, height) in SIZES.items():
            lively.look(width, height, theme)
            lively.until_book_shown(7 if name == "phone" else LEVELS)
            lively.save(pictures / f"market-{name}-{theme}.png", whole=name != "desktop")
            inside(lively, width)
            readable(lively)
    lively.look(1280, 800, "dark")
    lively.until_book_shown(LEVELS)
    lively.save(pictures / "market.png")


def test_the_other_pages(screen: Screen, pictures: Path):
    for theme in THEMES:
        for name, (width, height) in SIZES.items():
            screen.look(width, height, theme)
            for page, path in (("visitor", "/market/BTC-USD"), ("login", "/login"), ("missing", "/market/NOPE")):
                screen.open(path)
                if page == "visitor":
                    screen.until(lambda: "empty" in screen.text("#middle-text"), "the empty book")
                screen.save(pictures / f"{page}-{name}-{theme}.png")
                inside(screen, width)
                readable(screen)


def test_many_digits_fit_on_a_phone(screen: Screen, site: Site, pictures: Path):
    """Eight decimals, and prices of a hundred thousand."""
    for side, user in (("buy", "alice"), ("sell", "bob")):
        body = {"symbol": "BTC-USD", "side": side, "quantity": "0.00000001", "price": "104251.00"}
        assert "id" in site.rest("POST", "orders", body, user=user)
    for price, quantity in (("104250.55", "1.23456789"), ("104250.50", "12.00000001"), ("104249.95", "0.50000000")):
        body = {"symbol": "BTC-USD", "side": "buy", "quantity": quantity, "price": price}
        for user in ("alice", "bob"):
            assert "id" in site.rest("POST", "orders", body, user=user)
    screen.look(390, 844)
    screen.sign_in("alice", "BTC-USD")
    screen.until(lambda: len(screen.all("#orders tr")) == 3, "the open orders")
    screen.button("104250.55", "Amend").click()
    for name, (width, height) in SIZES.items():
        screen.look(width, height)
        screen.until(lambda: len(screen.book()["bids"]) == 3, "the book")
        screen.save(pictures / f"digits-{name}-dark.png", whole=True)
        inside(screen, width)
        assert screen.driver.execute_script(CUT_OFF) == []


TICKETS = (
    ("limit", True, "stop_limit"),
    ("stop_limit", False, "stop"),
    ("trailing_stop", False, "stop"),
    ("oco", False, "trail_percent"),
)
# Texts and values that do not fit the box they are in.
CUT_TICKET = """
const narrow = (node) => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1;
const list = (select) => { const probe = document.createElement("span"); probe.style.font = getComputedStyle(select).font;
  probe.textContent = select.selectedOptions[0].textContent; document.body.append(probe);
  const wide = probe.getBoundingClientRect().width; probe.remove(); return wide > select.clientWidth - 30; };
return [...document.querySelectorAll("#ticket span, #ticket label, #ticket p, #ticket input")].filter(narrow)
  .concat([...document.querySelectorAll("#ticket select")].filter((one) => one.checkVisibility() && list(one)))
  .map((node) => node.id || node.textContent);
"""


def test_tickets_and_orders_of_every_type(screen: Screen, site: Site, pictures: Path):
    """The fullest tickets, and every kind of order among the open ones."""
    for body in (
        {"side": "sell", "type": "stop", "stop_price": "95", "quantity": "1.5"},
        {
            "side": "buy",
            "type": "stop_limit",
            "stop_price": "105",
            "price": "105.5",
            "quantity": "2",
            "time_in_force": "day",
        },
        {"side": "sell", "type": "trailing_stop", "trail_percent": "2.5", "quantity": "3"},
        {"side": "buy", "quantity": "500", "price": "99", "display_quantity": "20"},
        {"side": "sell", "quantity": "4", "price": "110", "order_class": "oco", "stop_loss": {"trail_price": "5"}},
        {"side": "buy", "quantity": "6", "price": "98", "order_class": "bracket", "take_profit": {"price": "103"}}
        | {"stop_loss": {"stop_price": "95", "price": "94.5"}},
        {"side": "buy", "quantity": "1", "price": "97", "time_in_force": "gtd", "expires_at": "2099-12-31T12:00:00Z"},
    ):
        assert "id" in site.rest("POST", "orders", {"symbol": "ACME-USD", **body}, user="alice")
    site.order("sell", "5", "100.00")
    screen.sign_in("alice")
    screen.until(lambda: len(screen.all("#orders tr")) == 10, "all open orders")
    screen.driver.execute_script("document.querySelector('.more').open = true")
    for theme in THEMES:
        for name, (width, height) in SIZES.items():
            screen.look(width, height, theme)
            for kind, bracket, loss in TICKETS:
                screen.choose(kind)
                if kind != "oco" and screen.find("#bracket").is_selected() != bracket:
                    screen.driver.execute_script("document.getElementById('bracket').click()")
                screen.select("#stop-kind", loss)
                screen.select("#time-in-force", "gtd")
                for field in screen.all("#ticket [data-field] input[data-grid]"):
                    screen.driver.execute_script("arguments[0].value = '12345.67'", field)
                assert screen.driver.execute_script(CUT_TICKET) == [], (name, kind)
                readable(screen)
                screen.save(pictures / f"ticket-{kind}-{name}-{theme}.png", whole=True)
            inside(screen, width)
            assert screen.driver.execute_script(CUT_OFF) == [], name


def test_an_auction(screen: Screen, site: Site, pictures: Path):
    site.set_phase("ACME-USD", "auction", lasts_seconds="3600")
    rng = random.Random(3)
    for number in range(40):
        side, cents = rng.choice(("buy", "sell")), 10_000 + rng.randint(-7, 7)
        user = ("alice", "bob")[number % 2]
        site.order(side, f"{rng.randint(500, 9000) / 1000:.3f}", f"{cents / 100:.2f}", user=user)
    screen.sign_in("alice")
    screen.until(lambda: "would trade" in screen.text("#middle-text"), "the indicative price")
    for theme in THEMES:
        for name, (width, height) in SIZES.items():
            screen.look(width, height, theme)
            screen.until(lambda: screen.book()["bids"], "the ladder")
            screen.save(pictures / f"auction-{name}-{theme}.png")
            inside(screen, width)
            readable(screen)


def inside(screen: Screen, width: int) -> None:
    """The page cannot be scrolled sideways."""
    assert screen.driver.execute_script("return document.documentElement.scrollWidth") <= width


def readable(screen: Screen) -> None:
    """Every text stands out from what is behind it."""
    measured = screen.driver.execute_script(MEASURE_CONTRAST)
    assert len(measured) > 4
    assert [row for row in measured if row[0] < CONTRAST] == []
