"""A standby's copy of the open orders is what recovery would read, and recovery believes it only where it is."""

import random

import pytest

from matching.image import state_hash
from matching.values import BUY
from orders.engine.recovery import recover
from orders.engine.standby import Standby
from orders.snapshots import BookSaver
from tests.engine.desk import Desk

pytestmark = pytest.mark.django_db(transaction=True)


class NoElection:
    shard_id = 0


def trade(desk: Desk, rng: random.Random, orders: int) -> None:
    for _ in range(orders):
        account = rng.choice((desk.alice, desk.bob))
        desk.do(desk.order(account, rng.randrange(2), rng.randint(95, 105), rng.randint(1, 9)))


@pytest.mark.parametrize("has_saved_books", [False, True])
def test_what_it_followed_is_what_the_owner_had(
    desk: Desk, has_saved_books: bool, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    rng = random.Random(seed)
    standby = Standby(NoElection())  # type: ignore[arg-type]
    trade(desk, rng, 30)
    if has_saved_books:
        BookSaver(0).save()
    for _ in range(4):
        trade(desk, rng, 12)
        standby.follow()
    trade(desk, rng, 5)
    assert standby.orders is not None and 0 < standby.orders.sequence < desk.loop.state.last_sequence
    assert state_hash(recover(0, standby.orders).engine) == state_hash(desk.loop.state.engine)
    assert "starting from" not in caplog.text


def test_a_copy_that_is_wrong_is_not_believed(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    standby = Standby(NoElection())  # type: ignore[arg-type]
    desk.do(desk.order(desk.alice, BUY, 100, 5), desk.order(desk.bob, BUY, 99, 5))
    standby.follow()
    assert standby.orders is not None
    next(iter(standby.orders.by_instrument[1].values())).remaining += 1
    assert state_hash(recover(0, standby.orders).engine) == state_hash(desk.loop.state.engine)
    assert "what the standby followed plus newer rows" in caplog.text
