"""The market page as somebody sees it: a Selenium driver with the words of this page."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.site import Site

WAIT_SECONDS = 10.0

# Runs before any script of the page: what the page must never do is kept in window.broken.
WATCH = """
window.broken = [];
addEventListener("securitypolicyviolation", (event) =>
  broken.push(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
addEventListener("error", (event) => broken.push(`error: ${event.message} ${event.filename}:${event.lineno}`));
addEventListener("unhandledrejection", (event) => broken.push(`rejection: ${event.reason}`));
"""

# The ladder's rows as REST says a book: best first, [price, size, orders].
READ_BOOK = """
const side = (id) => [...document.querySelectorAll(`#${id} tr[data-price]`)].map((row) => [
  row.querySelector(".price").textContent, row.querySelector(".size").textContent,
  Number(row.querySelector(".count").textContent)]);
return {bids: side("bids"), asks: side("asks").reverse()};
"""


class Screen:
    """One browser window on one site."""

    def __init__(self, driver: WebDriver, site: Site) -> None:
        self.driver = driver
        self.site = site
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        self.look(1280, 800)

    # Going places

    def open(self, path: str) -> None:
        self.driver.get(self.site.url + path)

    def sign_in(self, username: str = "alice", symbol: str = "ACME-USD") -> None:
        """Through the form, from the market page and back to it."""
        self.open(f"/market/{symbol}")
        self.find(".ticket .button").click()
        self.find("input[name=username]").send_keys(username)
        self.find("input[name=password]").send_keys(self.site.passwords[username])
        self.find("button.primary").click()
        self.until(lambda: self.all("#ticket") and self.text("#badge-state") == "Live", "signed in and live")

    def look(self, width: int, height: int, theme: str = "dark") -> None:
        """The size of the window, in CSS pixels, and what the system says about colours."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)

    # Reading

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        """The text of the first such element as one line, empty where there is none (asked of the page in one go)."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return " ".join(self.driver.execute_script(script, selector).split())

    def book(self) -> dict[str, list[list[Any]]]:
        return self.driver.execute_script(READ_BOOK)

    def until(self, true: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
        """Wait for something; the failure says what was waited for and what the page said."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds} s for: {what}\n{self.find('body').text}")
            time.sleep(0.05)

    def until_book_equals_rest(self) -> None:
        self.until(lambda: self.book() == self.site.book(), "the ladder to equal REST's book")

    def until_book_shown(self, levels: int) -> None:
        """After a change of size: so many levels of each side."""
        self.until(lambda: len(self.book()["bids"]) == levels == len(self.book()["asks"]), f"{levels} levels")

    # Doing

    def type(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def place(self, side: str, quantity: str, price: str) -> None:
        """Fill in the ticket and press the button."""
        self.find(f".sides .{side} input").click()
        self.type("#price", price)
        self.type("#quantity", quantity)
        self.find("#place").click()

    def choose(self, kind: str) -> None:
        """A type of order in the ticket, wherever the page is scrolled to."""
        self.driver.execute_script("arguments[0].click()", self.find(f'.types input[value="{kind}"]'))

    def select(self, selector: str, value: str) -> None:
        """An option of a list, as if it had been chosen."""
        script = "const list = document.querySelector(arguments[0]); list.value = arguments[1]; "
        self.driver.execute_script(script + "list.dispatchEvent(new Event('input', {bubbles: true}))", selector, value)

    def button(self, row: str, name: str) -> WebElement:
        """The button with this name in the first open order whose row shows the text."""
        for line in self.all("#orders tr"):
            if row in line.text:
                return next(button for button in line.find_elements("css selector", "button") if button.text == name)
        raise AssertionError(f"no open order shows {row!r}")

    # What must never happen

    def broken(self) -> list[str]:
        """Script errors, violations of the policy, complaints of the console; a refused request is not one."""
        lines = [entry for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        said = [
            entry["message"] for entry in lines if entry["source"] != "network" and "WebSocket" not in entry["message"]
        ]
        return self.driver.execute_script("return window.broken") + said

    def save(self, path: Path, *, whole: bool = False) -> None:
        """A picture of what is seen, or of the whole page."""
        options: dict[str, Any] = {"format": "png"}
        if whole:
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            options["captureBeyondViewport"] = True
            options["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]
        path.write_bytes(base64.b64decode(picture))
