"""A desk for every test that asks for one; whatever it did, the tables must tell one story afterwards."""

from collections.abc import Iterator

import pytest

from orders.engine.verification import verify
from tests.engine.desk import Desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    yield Desk()
    assert verify(0).differences == []
