"""The pages as Django answers them: where they lead, who may see what, and what the document holds."""

import re
from html.parser import HTMLParser

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from orders.models import Instrument, Shard
from tests.support.market import make_account, make_user

pytestmark = pytest.mark.django_db


def make_row(symbol: str = "ACME-USD", **fields: object) -> Instrument:
    """An instrument as a row; the pages only read."""
    shard, _ = Shard.objects.get_or_create(id=0)
    base, _, quote = symbol.partition("-")
    rules = {"price_decimals": 2, "quantity_decimals": 3, "price_tick": 5, "quantity_step": 10}
    limits = {"min_quantity": 1, "max_quantity": 10**9, "created_at": 0}
    return Instrument.objects.create(symbol=symbol, base=base, quote=quote, shard=shard, **rules | limits | fields)


class Document(HTMLParser):
    """The elements of a page as (name, attributes), and the text of its scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style") and data.strip():
            self.inline.append(data)

    def all(self, element: str, /, **wanted: str) -> list[dict[str, str | None]]:
        """The attributes of every such element (``_`` stands for ``-``)."""
        wanted = {key.replace("_", "-"): value for key, value in wanted.items()}
        return [attrs for tag, attrs in self.elements if tag == element and wanted.items() <= attrs.items()]

    def find(self, element: str, /, **wanted: str) -> dict[str, str | None]:
        """The attributes of the only such element."""
        (found,) = self.all(element, **wanted)
        return found

    def has(self, element: str, /, **wanted: str) -> bool:
        return bool(self.all(element, **wanted))


def page(client: Client, address: str, status: int = 200) -> Document:
    response = client.get(address)
    assert response.status_code == status
    return Document(response.content.decode())


@pytest.fixture
def alice(client: Client) -> Client:
    """Signed in as alice, who has an account."""
    make_account("alice")
    assert client.login(username="alice", password="secret")
    return client


# Where the addresses lead


def test_without_instruments_the_first_page_says_how_to_make_one(client):
    response = client.get("/")
    assert response.status_code == 200
    assert "seed_demo" in response.content.decode()


def test_the_first_page_leads_to_the_first_instrument(client):
    make_row("ZINC-USD")
    make_row("ACME-USD")
    response = client.get("/")
    assert response.status_code == 302
    assert response["Location"] == "/market/ACME-USD"


def test_an_unknown_instrument_is_404_and_named_safely(client):
    response = client.get("/market/<b>NO</b>")
    assert response.status_code == 404
    assert "&lt;b&gt;NO&lt;/b&gt;" in response.content.decode() or "leads nowhere" in response.content.decode()
    assert "<b>NO" not in response.content.decode()
    assert "NOPE" in client.get("/market/NOPE").content.decode()


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_a_page_is_only_read(client, method):
    make_row()
    assert getattr(client, method)("/market/ACME-USD").status_code == 405


def test_every_instrument_can_be_reached(client):
    for symbol in ("ACME-USD", "BTC.X-USD", "E_R-USD"):
        make_row(symbol)
    document = page(client, "/market/E_R-USD")
    links = [attrs["href"] for tag, attrs in document.elements if tag == "a"]
    assert [link for link in links if link.startswith("/market/")] == [
        "/market/ACME-USD",
        "/market/BTC.X-USD",
        "/market/E_R-USD",
    ]
    assert document.find("a", aria_current="page")["href"] == "/market/E_R-USD"


def test_pages_are_not_kept_by_caches(client):
    make_row()
    for address in ("/", "/market/ACME-USD", "/login"):
        assert "no-store" in client.get(address)["Cache-Control"]


@pytest.mark.parametrize("address", ["/", "/market/ACME-USD"])
def test_private_market_data_asks_to_sign_in(client, address):
    make_row()
    make_account("alice")
    with override_settings(OMS_PUBLIC_MARKET_DATA=False):
        response = client.get(address)
        assert response.status_code == 302
        assert response["Location"] == f"/login?next={address}"
        client.login(username="alice", password="secret")
        assert client.get(address).status_code in (200, 302)
        assert client.get("/market/ACME-USD").status_code == 200


# Who sees what


def test_a_visitor_sees_the_market_and_is_asked_to_sign_in_to_trade(client):
    make_row()
    document = page(client, "/market/ACME-USD")
    assert document.has("table", id="ladder")
    assert not document.has("form", id="ticket")
    assert not document.has("tbody", id="orders")
    assert "Sign in to trade" in client.get("/market/ACME-USD").content.decode()
    assert document.find("main", id="content")["data-account"] == ""


def test_a_trader_gets_ticket_orders_and_fills(alice):
    make_row()
    document = page(alice, "/market/ACME-USD")
    assert document.has("form", id="ticket")
    assert document.has("tbody", id="orders")
    assert document.has("tbody", id="fills")
    assert document.find("main", id="content")["data-account"] == "alice"


def test_a_user_without_an_account_is_told_so(client):
    make_row()
    make_user("dora")
    client.login(username="dora", password="secret")
    response = client.get("/market/ACME-USD")
    assert "no trading account is yours" in response.content.decode()
    assert not Document(response.content.decode()).has("form", id="ticket")


def test_the_admin_is_linked_for_staff_only(alice):
    make_row()
    admin = reverse("admin:index")
    assert not page(alice, "/market/ACME-USD").has("a", href=admin)
    make_user("root", is_staff=True)
    alice.login(username="root", password="secret")
    assert page(alice, "/market/ACME-USD").has("a", href=admin)


def test_the_rules_of_the_instrument_are_in_the_document(client):
    make_row()
    shown = page(client, "/market/ACME-USD").find("main", id="content")
    assert shown["data-symbol"] == "ACME-USD"
    assert (shown["data-base"], shown["data-quote"]) == ("ACME", "USD")
    assert (shown["data-price-decimals"], shown["data-quantity-decimals"]) == ("2", "3")
    assert (shown["data-price-tick"], shown["data-quantity-step"]) == ("0.05", "0.010")


# Signing in and out


def test_signing_in_follows_next_within_this_site(client):
    make_account("alice")
    form = {"username": "alice", "password": "secret", "next": "/market/ACME-USD"}
    response = client.post("/login", form)
    assert response.status_code == 302
    assert response["Location"] == "/market/ACME-USD"


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "https:evil.example"],
)
def test_signing_in_and_out_never_leads_elsewhere(client, elsewhere):
    make_account("alice")
    response = client.post("/login", {"username": "alice", "password": "secret", "next": elsewhere})
    assert (response.status_code, response["Location"]) == (302, "/")
    response = client.get("/login", {"next": elsewhere})
    assert (response.status_code, response["Location"]) == (302, "/")
    response = client.post("/logout", {"next": elsewhere})
    assert response.status_code == 302
    assert "evil" not in response["Location"] and "script" not in response["Location"]


def test_a_wrong_password_is_told_next_to_the_form(client):
    make_account("alice")
    response = client.post("/login", {"username": "alice", "password": "wrong", "next": "/market/ACME-USD"})
    document = Document(response.content.decode())
    assert response.status_code == 200
    assert document.has("p", role="alert")
    assert document.find("input", name="username")["value"] == "alice"
    assert document.find("input", name="next")["value"] == "/market/ACME-USD"
    assert "value" not in document.find("input", name="password")


def test_signing_out_takes_a_post(alice):
    make_row()
    assert alice.get("/logout").status_code == 405
    assert page(alice, "/market/ACME-USD").has("form", id="ticket")
    assert alice.post("/logout", {"next": "/market/ACME-USD"})["Location"] == "/market/ACME-USD"
    assert not page(alice, "/market/ACME-USD").has("form", id="ticket")


@pytest.mark.parametrize("address", ["/login", "/logout"])
def test_signing_in_and_out_needs_the_csrf_token(address):
    response = Client(enforce_csrf_checks=True).post(address, {"username": "alice", "password": "secret"})
    assert response.status_code == 403
    assert "out of date" in response.content.decode()


# The document


def test_the_csrf_token_is_in_the_document_and_hidden_from_script(alice):
    make_row()
    response = alice.get("/market/ACME-USD")
    token = Document(response.content.decode()).find("meta", name="csrf-token")["content"]
    assert re.fullmatch(r"[A-Za-z0-9]{64}", token or "")
    assert response.cookies["csrftoken"]["httponly"]


@pytest.mark.parametrize("address", ["/", "/market/ACME-USD", "/market/NOPE", "/login"])
@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize("instruments", [0, 1])
def test_nothing_inline_and_nothing_from_elsewhere(client, address, signed_in, instruments):
    if instruments:
        make_row()
    if signed_in:
        make_account("alice")
        client.login(username="alice", password="secret")
    response = client.get(address, follow=True)
    assert response["Content-Security-Policy"].startswith("default-src 'self';")
    document = Document(response.content.decode())
    assert document.inline == []
    for name, attrs in document.elements:
        assert "style" not in attrs, (name, attrs)
        assert not [key for key in attrs if key.startswith("on")], (name, attrs)
        for key in ("src", "href", "action"):
            assert (attrs.get(key) or "/").startswith(("/", "#")), (name, attrs)
            assert not (attrs.get(key) or "/").startswith("//"), (name, attrs)


@pytest.mark.parametrize("address", ["/", "/market/ACME-USD", "/market/NOPE", "/login"])
def test_every_page_has_a_language_a_title_one_heading_and_a_way_to_the_content(client, address):
    make_row()
    document = page(client, client.get(address, follow=True).request["PATH_INFO"], 404 if "NOPE" in address else 200)
    assert document.find("html")["lang"] == "en"
    assert [tag for tag, _ in document.elements].count("h1") == 1
    assert document.has("a", href="#content")
    assert document.has("main", id="content")
    assert document.has("meta", name="viewport")


def test_fields_have_names_and_news_is_announced(alice):
    make_row()
    document = page(alice, "/market/ACME-USD")
    assert document.find("div", id="notices")["aria-live"] == "polite"
    assert document.find("div", id="refusals")["role"] == "alert"
    assert document.find("span", id="badge-state")["role"] == "status"
    labelled = {attrs.get("for") for tag, attrs in document.elements if tag == "label"}
    for name in ("price", "quantity", "time-in-force", "self-trade-prevention"):
        assert name in labelled
        assert document.has("input", id=name) or document.has("select", id=name)
    ids = [attrs["id"] for _, attrs in document.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in document.elements:
        for key in ("aria-labelledby", "aria-describedby"):
            assert attrs.get(key) is None or attrs[key] in ids, attrs
