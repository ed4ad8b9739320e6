"""Order flow with orders of every type: the same trades durably and through the bare core, and malformed lines told."""

import hashlib
import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from matching.events import KIND_NAMES, MOVED, UNCROSSED
from matching.lifecycle import TRANSITIONS
from matching.values import ROLE_NAMES, STATUS_NAMES, TYPE_NAMES
from orders.engine.verification import verify
from orders.flow import read_flow
from orders.flow_terms import COLUMNS, OPTIONAL
from orders.models import Event, Order, Shard
from tests.commands.test_replay import CLOSING, run

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flow_all_types.csv"
HEADER = ",".join((*COLUMNS, *OPTIONAL))

# Worked out once, by both ways: lines, trades, units traded, what they came to, and the digest of all rows of trades.
LINES, TRADES, UNITS, VALUE = 2_071, 2_030, 13_276, 66_087_493
DIGEST = "dfe8f6bd39adeb17"

SECOND = 10**9
START = 1_770_000_000 * SECOND  # 2026-02-02 02:40 UTC


def test_durably_and_in_memory_it_is_the_same_and_what_it_was(tmp_path: Path) -> None:
    durable = run(EXAMPLE, tmp_path, symbol="ALL")
    memory = run(EXAMPLE, tmp_path, "--memory", symbol="ALL")
    assert durable[:2] == memory[:2]
    trades = durable[0][1:]
    match = CLOSING.match(durable[2].splitlines()[-1])
    assert match and match.groups() == (str(LINES), str(TRADES))
    assert sum(int(row[5]) for row in trades) == UNITS
    assert sum(int(row[4]) * int(row[5]) for row in trades) == VALUE
    assert hashlib.sha256(repr(trades).encode()).hexdigest()[:16] == DIGEST
    assert verify(0).differences == []


def test_the_example_has_everything_in_it(tmp_path: Path) -> None:
    """Every type, every part of a group, every status, and every event that an order can have."""
    run(EXAMPLE, tmp_path, symbol="ALL")
    names = {KIND_NAMES[kind] for kind in Event.objects.filter(order__isnull=False).values_list("kind", flat=True)}
    # All but a move to another shard, which no file tells of.
    assert names == {KIND_NAMES[kind] for _, kind in TRANSITIONS if kind != MOVED}
    assert {STATUS_NAMES[status] for status in Order.objects.values_list("status", flat=True)} == set(STATUS_NAMES)
    assert set(Order.objects.values_list("type", flat=True)) == set(range(len(TYPE_NAMES)))
    assert set(Order.objects.values_list("role", flat=True)) == set(range(len(ROLE_NAMES)))
    assert Event.objects.filter(kind=UNCROSSED).count() >= 3


def flow(*lines: dict[str, object]) -> str:
    """A file: ``seq`` counts, time goes on by a second a line unless a line says ``after`` how many."""
    rows, at = [HEADER], START
    for seq, line in enumerate(lines):
        line = dict(line)
        at += int(line.pop("after", 1)) * SECOND
        if "lives" in line:
            line |= {"tif": "GTD", "expires_ns": at + int(line.pop("lives")) * SECOND}
        cells = {"seq": seq, "ts_ns": at, "src": "made", **line}
        rows.append(",".join(str(cells.get(name, "")) for name in (*COLUMNS, *OPTIONAL)))
    return "\n".join(rows) + "\n"


def new(order_id: int, side: str, qty: int, price: int | str = "", **more: object) -> dict[str, object]:
    return {"op": "N", "order_id": order_id, "side": side, "qty": qty, "price": price, "tif": "GTC", **more}


# What happens, the lines, and the trades: line, aggressor, resting, side, price, quantity.
SCENES = {
    "a stop fires in the line whose trade reached it": (
        [
            new(1, "B", 10, 100),
            new(2, "B", 10, 95),
            new(3, "S", 4, type="stop", stop_price=100),
            new(4, "S", 5, 100, tif="IOC"),
        ],
        ["3,4,1,S,100,5", "3,3,1,S,100,4"],
    ),
    "what has expired is not there": (
        [
            new(1, "B", 5, 100, lives=10),
            new(2, "S", 5, 100, after=9),
            new(3, "B", 5, 101, lives=10),
            new(4, "S", 5, 101, after=10, tif="IOC"),
        ],
        ["1,2,1,S,100,5"],
    ),
    "already past at entry": (
        [new(1, "S", 5, 100), new(2, "B", 5, 100, lives=-1), new(3, "B", 2, 100)],
        ["2,3,1,B,100,2"],
    ),
    "a day order ends at midnight": (
        [new(1, "B", 5, 100, tif="DAY"), new(2, "S", 1, 100), new(3, "S", 1, 100, after=22 * 3600)],
        ["1,2,1,S,100,1"],
    ),
    "an expiry that was put off": (
        [
            new(1, "B", 5, 100, lives=10),
            {"op": "M", "order_id": 1, "side": "B", "expires_ns": START + 60 * SECOND},
            new(2, "S", 1, 100, after=20),
            new(3, "S", 1, 100, after=60),
        ],
        ["2,2,1,S,100,1"],
    ),
    "an iceberg goes to the back with every tip": (
        [new(1, "B", 6, 100, display_qty=2), new(2, "B", 3, 100), new(3, "S", 9, 100)],
        ["2,3,1,S,100,2", "2,3,2,S,100,3", "2,3,1,S,100,2", "2,3,1,S,100,2"],
    ),
    "one cancels the other": (
        [
            new(1, "S", 5, 105, role="oco_limit"),
            new(2, "S", 5, type="stop", stop_price=95, role="oco_stop"),
            new(3, "B", 2, 105),
            new(4, "B", 9, 94),
            new(5, "B", 1, 95),
            new(6, "S", 1, 95),
        ],
        ["2,3,1,B,105,2", "5,6,5,S,95,1", "5,2,4,S,94,3"],
    ),
    "a bracket": (
        [
            new(1, "B", 5, 100, role="entry"),
            new(2, "S", 5, 104, role="take_profit"),
            new(3, "S", 5, type="stop", stop_price=97, role="stop_loss"),
            new(4, "S", 5, 100),
            new(5, "B", 5, 104),
        ],
        ["3,4,1,S,100,5", "4,5,2,B,104,5"],
    ),
    "a bracket whose entry expires goes on with what it has": (
        [
            new(1, "B", 5, 100, lives=10, role="entry"),
            new(2, "S", 5, 104, role="take_profit"),
            new(3, "S", 5, type="stop", stop_price=97, role="stop_loss"),
            new(4, "S", 2, 100),
            new(5, "B", 5, 104, after=60),
        ],
        ["3,4,1,S,100,2", "4,5,2,B,104,2"],
    ),
    "a trailing stop follows": (
        [
            new(1, "S", 1, 100),
            new(2, "B", 1, 100),
            new(3, "S", 2, type="trailing_stop", trail=3),
            new(4, "B", 4, 107),
            new(5, "S", 1, 107),
            new(6, "B", 9, 104),
            {"op": "C", "order_id": 4, "side": "B"},
            new(7, "S", 1, 104),
        ],
        ["1,2,1,B,100,1", "4,5,4,S,107,1", "7,7,6,S,104,1", "7,3,6,S,104,2"],
    ),
    "an auction trades at one price, in the line that ends it": (
        [
            {"op": "P", "phase": "auction"},
            new(1, "B", 5, 103),
            new(2, "S", 3, 99),
            new(3, "B", 2, 101),
            {"op": "P", "phase": "continuous"},
            new(4, "S", 9, 100, tif="IOC"),
        ],
        ["4,2,1,S,103,3", "5,4,1,S,103,2", "5,4,3,S,101,2"],
    ),
    "orders of one account that must not meet": (
        [new(1, "S", 5, 100), new(2, "B", 3, 100, stp="decrement"), new(3, "B", 9, 100)],
        ["2,3,1,B,100,2"],
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_comes_out_both_ways(name: str, tmp_path: Path) -> None:
    lines, expected = SCENES[name]
    file = tmp_path / "flow.csv"
    file.write_text(flow(*lines))
    for options in ((), ("--memory",)):
        trades, _, _ = run(file, tmp_path, *options, symbol="SCENE")
        assert [",".join(row) for row in trades[1:]] == expected, options
    assert verify(0).differences == []


def test_an_order_that_expires_where_nothing_may_be_canceled_is_not_replayed_durably(tmp_path: Path) -> None:
    """The engine would expire it; our stand-in for that is a cancel, which it would refuse. So it is said instead."""
    file = tmp_path / "flow.csv"
    lines = [new(1, "B", 5, 100, lives=10), {"op": "P", "phase": "no_cancel"}, new(2, "B", 1, 100, after=60)]
    file.write_text(flow(*lines))
    run(file, tmp_path, "--memory", symbol="LATE")
    with pytest.raises(CommandError, match="phase without cancels, before seq 2: use --memory"):
        run(file, tmp_path, symbol="LATE")


GOOD = new(1, "B", 5, 100)
# What is wrong -> the lines, and what is said of which line.
MALFORMED = {
    "an op": ([{**GOOD, "op": "X"}], "line 2: op is 'X', not N, C, R, M or P"),
    "a type": ([{**GOOD, "type": "iceberg"}], "line 2: type is 'iceberg', not limit, market,"),
    "a limit without a price": ([{**GOOD, "price": ""}], "line 2: price must be from 1"),
    "a market order with one": ([{**GOOD, "type": "market"}], "line 2: a market order has no price"),
    "a stop without a stop price": ([new(1, "B", 5, type="stop")], "line 2: stop_price must be from 1"),
    "a limit with one": ([{**GOOD, "stop_price": 5}], "line 2: a limit order has no stop_price"),
    "a trailing stop without an offset": ([new(1, "B", 5, type="trailing_stop")], "line 2: a trailing_stop has either"),
    "a trailing stop with two": (
        [new(1, "B", 5, type="trailing_stop", trail=1, trail_bps=1)],
        "line 2: a trailing_stop has either",
    ),
    "a stop that does not wait": (
        [new(1, "B", 5, type="stop", stop_price=9, tif="IOC")],
        "line 2: a stop order waits",
    ),
    "an iceberg that does not rest": ([{**GOOD, "tif": "IOC", "display_qty": 1}], "line 2: display_qty and post_only"),
    "an expiry without GTD": ([{**GOOD, "expires_ns": START}], "line 2: GTD needs expires_ns, and nothing else"),
    "GTD without an expiry": ([{**GOOD, "tif": "GTD"}], "line 2: GTD needs expires_ns"),
    "a number": ([{**GOOD, "display_qty": "1.5"}], "line 2: display_qty is '1.5', not an integer"),
    "too many digits": ([{**GOOD, "trail": "9" * 5000}], "line 2: trail is '99999999999999999999', not an integer"),
    "too large": ([{**GOOD, "price": 2**53}], "line 2: price must be from 1"),
    "self-trade prevention": ([{**GOOD, "stp": "all"}], "line 2: stp is 'all', not none,"),
    "a role": ([{**GOOD, "role": "leg"}], "line 2: role is 'leg', not oco_limit,"),
    "a phase": ([{"op": "P", "phase": "lunch"}], "line 2: phase is 'lunch', not closed,"),
    "no phase": ([{"op": "P"}], "line 2: phase is '', not closed,"),
    "an amend of nothing": ([GOOD, {"op": "M", "order_id": 1, "side": "B"}], "line 3: an M line that changes nothing"),
    "time that goes back": ([GOOD, {**GOOD, "order_id": 2, "after": -5}], "line 3: ts_ns goes back"),
    "half a pair": ([{**GOOD, "role": "oco_limit"}, new(2, "B", 5, 99)], "line 3: a line with the role oco_stop must"),
    "half a pair at the end": ([{**GOOD, "role": "oco_limit"}], "at the end: a line with the role oco_stop must"),
    "a leg alone": ([{**GOOD, "role": "take_profit"}], "line 2: the role take_profit without the line that begins"),
    "another quantity": (
        [{**GOOD, "role": "oco_limit"}, new(2, "B", 4, type="stop", stop_price=105, role="oco_stop")],
        "line 3: oco_stop must have the quantity of its group",
    ),
    "the wrong side": (
        [{**GOOD, "role": "entry"}, new(2, "B", 5, 105, role="take_profit")],
        "line 3: take_profit must have the quantity of its group, and its side",
    ),
    "an OCO of two limits": (
        [{**GOOD, "role": "oco_limit"}, new(2, "B", 5, 105, role="oco_stop")],
        "line 3: oco_stop is a stop",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_line_stops_before_anything_is_applied(name: str, tmp_path: Path) -> None:
    lines, message = MALFORMED[name]
    file = tmp_path / "bad.csv"
    file.write_text(flow(*lines))
    with pytest.raises(CommandError, match=re.escape(message)):
        call_command("replay", str(file), "--symbol=BAD")
    assert Event.objects.count() == 0 and not Shard.objects.exists()


@pytest.mark.parametrize("columns", ["type,type", "colour", "seq", ""])
def test_columns_that_are_none_of_ours(columns: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(f"{','.join(COLUMNS)},{columns}\n")
    with pytest.raises(CommandError, match="line 1: the header must be seq,ts_ns"):
        call_command("replay", str(file), "--symbol=BAD")


def test_columns_in_any_choice_and_order(tmp_path: Path) -> None:
    """One optional column alone; a plain line in a file with terms means what it means in a plain file."""
    file = tmp_path / "flow.csv"
    file.write_text(f"{','.join(COLUMNS)},stp,type\n0,1,N,1,B,100,5,GTC,x,,\n1,1,N,2,S,,5,IOC,x,none,market\n")
    (first, second) = read_flow(file)
    assert (first.price, first.quantity, first.terms.type, first.terms.self_trade_prevention) == (100, 5, 0, 0)
    assert (second.price, second.quantity, second.terms.type, second.time_in_force) == (0, 5, 1, 1)
    assert [",".join(row) for row in run(file, tmp_path, symbol="FEW")[0][1:]] == ["1,2,1,S,100,5"]
