"""Whatever a desk does, and whatever happens to the engine meanwhile: afterwards it stands as if nothing had happened."""

import os
import random

import pytest

from matching.values import SIDE_NAMES, TRAILING_STOP, UNTRIGGERED
from orders import selectors
from orders.engine.verification import verify
from orders.levels import level_list
from orders.models import Event, Order
from tests.engine.long_run import LongRun, steps, words

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = int(os.environ.get("OMS_RECOVERY_RUNS", "60"))
STEPS = 120


@pytest.mark.parametrize("number", range(RUNS))
def test_an_engine_that_was_interrupted_stands_where_the_other_stands(
    number: int, request: pytest.FixtureRequest
) -> None:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: repeat with --seed {seed}")
    run = LongRun(seed)
    run.run(steps(seed, STEPS))
    run.start()
    run.compare()
    assert verify(0).differences == []
    assert events_in_rows() == [words(event) for event in run.events]
    assert_the_tables_show_what_the_engine_has(run)


def events_in_rows() -> list[tuple[int, ...]]:
    return [
        (
            row.sequence,
            row.kind,
            row.order_id or 0,
            row.price,
            row.quantity,
            row.remaining,
            row.filled,
            -1 if row.status is None else row.status,
            row.reason,
            row.other,
        )
        for row in Event.objects.order_by("id")
    ]


def assert_the_tables_show_what_the_engine_has(run: LongRun) -> None:
    """Levels, auctions, and where each trailing stop stands."""
    _, _, found = level_list(shard_id=0)
    for levels in found:
        instrument = run.bare.instruments[levels.info.id]
        for side in range(len(SIDE_NAMES)):
            told = sorted((price, quantity, count) for of, price, quantity, count in levels.levels if of == side)
            assert told == sorted(instrument.book.top(side, 10_000))
        told = run.sessions[levels.info.id]
        assert (levels.phase, levels.phase_until, levels.indicative) == (told.phase, told.phase_until, told.indicative)
    waiting = Order.objects.filter(type=TRAILING_STOP, status=UNTRIGGERED)
    bests = selectors.trail_bests(waiting)
    for row in waiting:
        conditions = run.bare.orders[row.id].conditions
        assert conditions is not None and bests.get(row.id, 0) == conditions.best
