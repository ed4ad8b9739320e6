"""Order ids: unique, ascending, and none where the process has no number of its own."""

from collections.abc import Iterator

import pytest

from orders import ids
from orders.ids import NODES, OrderIds


def node_of(order_id: int) -> int:
    return order_id >> 12 & NODES - 1


def test_ids_ascend_and_carry_their_process_s_number(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [OrderIds(node) for node in (0, 5, NODES - 1)]
    for each, node in zip(made, (0, 5, NODES - 1), strict=True):
        several = [each.next() for _ in range(10_000)]
        assert several == sorted(set(several)) and {node_of(order_id) for order_id in several} == {node}
        assert several[-1] < 2**63


def test_ids_ascend_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times: Iterator[int] = iter([2_000_000_000_000_000_000, 1_999_999_999_000_000_000, 2_000_000_000_001_000_000])
    monkeypatch.setattr(ids, "time_ns", lambda: next(times))
    order_ids = OrderIds(1)
    several = [order_ids.next() for _ in range(3)]
    assert several == sorted(set(several))


def test_the_number_is_asked_for_every_time_and_may_change_or_be_missing() -> None:
    numbers: list[int] = [3, 3, 4]

    def node() -> int:
        if not numbers:
            raise LookupError("none")
        return numbers.pop(0)

    order_ids = OrderIds(node)
    several = [order_ids.next() for _ in range(3)]
    assert [node_of(order_id) for order_id in several] == [3, 3, 4] and several == sorted(set(several))
    with pytest.raises(LookupError):
        order_ids.next()


@pytest.mark.parametrize("node", [-1, NODES])
def test_a_number_beyond_its_bits_is_refused(node: int) -> None:
    with pytest.raises(ValueError):
        OrderIds(node)
