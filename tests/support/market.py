"""A running market for tests: the real engine on the test database, and builders with keyword defaults.

The cast is alice, bob and carol; the instrument is ACME-USD (tick 0.01, step 0.001) unless said otherwise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import time_ns

from django.contrib.auth.models import User

from matching.commands import DefineInstrument
from matching.values import CONTINUOUS, MAX_UNITS
from orders import gateway, selectors
from orders.actors import SCOPES, Actor
from orders.bus.envelope import Outcome
from orders.engine.service import EmbeddedEngine
from orders.feed.publisher import Listener
from orders.models import Account
from orders.schemas.orders import PlaceOrder

OPERATOR = Actor(0, "operator", 0, "", frozenset(SCOPES))


@contextmanager
def running_engine(listeners: list[Listener] | None = None) -> Iterator[EmbeddedEngine]:
    """The embedded engine on the test database. Caches of an earlier test are dropped."""
    selectors.forget_instruments()
    with EmbeddedEngine(0, listeners) as engine:
        yield engine


def make_user(username: str, **kwargs: object) -> User:
    """A user with the password "secret"."""
    user = User.objects.filter(username=username).first()
    return user or User.objects.create_user(username, password="secret", **kwargs)


def make_account(name: str, username: str | None = None) -> Account:
    """An account with default limits and its one member (named like it unless said otherwise)."""
    account, _ = Account.objects.get_or_create(name=name, defaults={"created_at": time_ns() // 1000})
    account.members.add(make_user(username or name))
    return account


def actor_for(account: Account, *, scopes: tuple[str, ...] = SCOPES) -> Actor:
    """Acts for the account as its first member."""
    user = account.members.order_by("id").first()
    assert user is not None
    return Actor(user.id, user.username, account.id, account.name, frozenset(scopes))


def make_instrument(
    symbol: str = "ACME-USD",
    *,
    price_decimals: int = 2,
    quantity_decimals: int = 3,
    price_tick: int = 1,
    quantity_step: int = 1,
    min_quantity: int = 1,
    max_quantity: int = MAX_UNITS,
    max_notional: int = 0,
    collar_bps: int = 0,
    reference_price: int = 0,
    phase: int = CONTINUOUS,
    breaker_us: int = 0,
    shard_id: int | None = None,
) -> selectors.InstrumentInfo:
    """Define an instrument through the gateway; needs a running engine."""
    base, _, quote = symbol.partition("-")
    definition = DefineInstrument(
        0,
        symbol,
        base,
        quote,
        price_decimals,
        quantity_decimals,
        price_tick,
        quantity_step,
        min_quantity,
        max_quantity,
        max_notional,
        collar_bps,
        reference_price,
        phase,
        breaker_us,
    )
    gateway.instrument_define(actor=OPERATOR, definition=definition, shard_id=shard_id)
    return selectors.instrument_by_symbol(symbol)


def set_phase(phase: str, symbol: str = "ACME-USD", *, lasts_seconds: int = 0) -> None:
    """Put an instrument into a phase, as an operator does."""
    instrument_id = selectors.instrument_by_symbol(symbol).id
    gateway.instrument_set_phase(actor=OPERATOR, instrument_id=instrument_id, phase=phase, lasts_seconds=lasts_seconds)


def place(actor: Actor, side: str = "buy", quantity: str = "1", price: str | None = "100", **fields: object) -> Outcome:
    """Place one order through the gateway: ``place(alice, "sell", "2", "100.5")``."""
    kind = "limit" if price is not None else "market"
    request = PlaceOrder.model_validate(
        {"symbol": "ACME-USD", "side": side, "type": kind, "quantity": quantity, "price": price, **fields}
    )
    return gateway.order_place(actor=actor, request=request)
