"""A running market and signed-in staff for the tests of the admin."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders import gateway, keys
from orders.snapshots import BookSaver
from tests.support.market import actor_for, make_account, make_instrument, make_user, place, running_engine


@pytest.fixture
def market(transactional_db) -> Iterator[SimpleNamespace]:
    """The real engine, ACME-USD, and the accounts and actors of alice and bob."""
    keys.forget_keys()
    with running_engine() as engine:
        alice, bob = make_account("alice"), make_account("bob")
        yield SimpleNamespace(
            engine=engine,
            acme=make_instrument("ACME-USD"),
            alice=actor_for(alice),
            bob=actor_for(bob),
            alice_account=alice,
            bob_account=bob,
        )


@pytest.fixture
def history(market: SimpleNamespace) -> SimpleNamespace:
    """A little of everything: resting, traded, amended, canceled and refused orders, and a saved book."""
    market.resting = place(market.alice, "buy", "10", "99.98", client_order_id="first").order_id
    market.taker = place(market.bob, "sell", "4", "99.97", client_order_id="hit").order_id
    market.ask = place(market.bob, "sell", "2.5", "100.05").order_id
    market.canceled = place(market.alice, "buy", "1", "90").order_id
    gateway.order_cancel(actor=market.alice, order_id=market.canceled)
    place(market.alice, "buy", "3", None)
    BookSaver(0).save()
    return market


def signed_in(username: str, *permissions: str, **kwargs: object) -> Client:
    """A client of a staff user with these permissions of the orders application."""
    user = make_user(username, is_staff=True, **kwargs)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="orders", codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root(transactional_db) -> Client:
    """A superuser's client."""
    return signed_in("root", is_superuser=True)


@pytest.fixture
def staff(transactional_db) -> Callable[..., Client]:
    """``staff("view_order", …)``: a client of a staff user with those permissions alone."""
    return lambda *permissions: signed_in("staff", *permissions)


@pytest.fixture
def queries() -> Callable[[], CaptureQueriesContext]:
    return lambda: CaptureQueriesContext(connection)


def text(response: object) -> str:
    return response.content.decode()


def messages_of(response: object) -> str:
    """The messages of a followed response, as one text."""
    return " | ".join(str(message) for message in response.context["messages"])
