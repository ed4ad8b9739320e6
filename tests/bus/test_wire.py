"""What is sent arrives as it was, whatever it is; what arrives and was not sent by us is refused."""

import ast
import inspect
from concurrent.futures import Future
from pathlib import Path
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import commands as commands_module
from matching import order as order_module
from matching import transit as transit_module
from matching.commands import Cancel, Command, OrderGroup, SetSchedule, Transfer
from matching.order import Conditions, Order
from matching.values import MAX_MONEY
from orders.bus import envelope as envelope_module
from orders.bus import wire
from orders.bus.envelope import (
    DONE,
    ConditionalOrderRecord,
    Envelope,
    OrderRecord,
    Outcome,
    SetShardMode,
    record_of,
)
from orders.bus.wire_outcomes import _KINDS

GATEWAY = "0123456789abcdef"

words = st.integers(-(2**63), 2**63 - 1)
small = st.integers(0, 255)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
# What the core keeps as an integer without bounds, though money has some.
big = st.integers(-(10**60), 10**60)
BY_TYPE = {"i64": words, "u8": small, "int": big, "bool": st.booleans(), "str": texts}
BY_NAME = {
    "order_id": st.integers(1, 2**63 - 1),
    # The engine reads that from the tables.
    "arrival": st.none(),
    "transitions": st.lists(st.tuples(words, words), max_size=5),
}
# What the core keeps in an order's conditions, and no command can ask for.
NOT_ASKED_FOR = {"best"}


def parameters_of(kind: type) -> dict[str, str]:
    """The constructor's parameters and their types, as the sources say: what is compiled does not tell."""
    if issubclass(kind, tuple):
        return {name: annotation.__name__ for name, annotation in inspect.get_annotations(kind).items()}
    for module in (commands_module, order_module, transit_module):
        path = Path(module.__file__ or "").parent / f"{module.__name__.rpartition('.')[2]}.py"
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                        return {arg.arg: ast.unparse(arg.annotation or arg) for arg in method.args.args[1:]}
                return {}
    raise LookupError(kind.__name__)


def values(parameters: dict[str, str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {name: BY_NAME[name] if name in BY_NAME else BY_TYPE[kind] for name, kind in parameters.items()}
    )


def made(kind: type, parameters: dict[str, str]) -> st.SearchStrategy[Any]:
    return values(parameters).map(lambda fields: kind(**fields))


CONDITIONS = {name: kind for name, kind in parameters_of(Conditions).items() if name not in NOT_ASKED_FOR}
ORDER = {name: kind for name, kind in parameters_of(Order).items() if name != "conditions"}
orders = st.builds(
    lambda fields, conditions: Order(**fields, conditions=conditions),
    values(ORDER),
    st.none() | made(Conditions, CONDITIONS),
)
KINDS = (*get_args(Command), SetShardMode)


def commands_of(kind: type) -> st.SearchStrategy[Any]:
    if kind is Order:
        return orders
    if kind is OrderGroup:
        return st.lists(orders, min_size=2, max_size=3).map(OrderGroup)
    return made(kind, parameters_of(kind))


def told(value: Any) -> Any:
    """Everything of a command that was asked for, to be compared."""
    if isinstance(value, OrderGroup):
        return [told(order) for order in value.orders]
    names = CONDITIONS if isinstance(value, Conditions) else parameters_of(type(value))
    fields = {name: getattr(value, name) for name in names}
    return {
        name: told(field) if isinstance(field, Conditions) else (type(field), field) for name, field in fields.items()
    }


def sent(*envelopes: Envelope) -> list[tuple[int, Envelope]]:
    data = wire.encode_entry(GATEWAY, [wire.encode_envelope(each, number) for number, each in enumerate(envelopes)])
    gateways, correlations = [], []

    def note(gateway: str, correlation: int) -> Future[list[Outcome]]:
        gateways.append(gateway)
        correlations.append(correlation)
        return Future()

    arrived = wire.decode_entry(data, note)
    assert set(gateways) == {GATEWAY}
    return list(zip(correlations, arrived, strict=True))


def envelope(*commands: Any, **fields: Any) -> Envelope:
    return Envelope(list(commands), **{"actor_id": 1, "received_at": 2, **fields})


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_of_the_core_arrives_as_it_was(kind: type) -> None:
    @settings(max_examples=40)
    @given(commands_of(kind))
    def arrives(command: Any) -> None:
        ((_, arrived),) = sent(envelope(command))
        assert type(arrived.commands[0]) is kind
        assert told(arrived.commands[0]) == told(command)

    arrives()


@settings(max_examples=40)
@given(
    st.lists(orders, max_size=4),
    st.none() | words,
    words,
    words,
    texts,
    st.booleans(),
    st.lists(st.none() | st.binary(max_size=20), min_size=4, max_size=4),
    st.lists(st.none() | texts, min_size=4, max_size=4),
)
def test_an_envelope_arrives_with_all_that_is_on_it(
    commands: list[Order],
    actor_id: int | None,
    received_at: int,
    deadline: int,
    request_id: str,
    has_lists: bool,
    fingerprints: list[bytes | None],
    details: list[str | None],
) -> None:
    count = len(commands)
    there = envelope(
        *commands,
        actor_id=actor_id,
        received_at=received_at,
        deadline=deadline,
        request_id=request_id,
        fingerprints=fingerprints[:count] if has_lists else None,
        details=details[:count] if has_lists else None,
    )
    (_, first), (number, here) = sent(envelope(), there)
    assert (first.commands, number) == ([], 1)
    assert [told(command) for command in here.commands] == [told(command) for command in commands]
    for name in ("actor_id", "received_at", "deadline", "request_id", "fingerprints", "details"):
        assert getattr(here, name) == getattr(there, name), name
    assert here.place is None and not here.future.done()


@pytest.mark.parametrize("count", [1, 15, 16, 127, 128, 1_000])
def test_an_entry_holds_as_many_envelopes_as_there_are(count: int) -> None:
    arrived = sent(*[envelope(Cancel(number + 1)) for number in range(count)])
    assert [each.commands[0].order_id for _, each in arrived] == list(range(1, count + 1))
    assert wire.decode_entry(wire.encode_entry(GATEWAY, [])) == []


def test_money_is_exact() -> None:
    for amount in (MAX_MONEY, -MAX_MONEY, 2**63, -(2**63) - 1, 2**64, 2**255, -(2**255), 127, -128):
        ((_, arrived),) = sent(envelope(Transfer(1, "USD", amount)))
        assert arrived.commands[0].amount == amount


def test_transitions_are_pairs_again() -> None:
    ((_, arrived),) = sent(envelope(SetSchedule(1, [(5, 3), (9, 0)], True)))
    assert arrived.commands[0].transitions == [(5, 3), (9, 0)]


def test_what_is_no_command_does_not_travel() -> None:
    with pytest.raises(TypeError, match="float does not travel"):
        wire.encode_envelope(envelope(1.5), 1)


# Outcomes

records = st.builds(
    lambda order, wide, shard_id, sequence, at: record_of(_widened(order, wide), shard_id, sequence, at),
    orders,
    st.lists(words, min_size=6, max_size=6),
    small,
    words,
    words,
)


def _widened(order: Order, wide: list[int]) -> Order:
    order.remaining, order.canceled, order.priority, order.created_at, order.version, order.hidden = wide
    order.notional = wide[0] * wide[1] * wide[2]
    # What is left of three such numbers need not fit a machine word, which nothing real comes near.
    order.quantity, order.remaining, order.canceled = 3, 2, 1
    return order


outcomes = st.builds(
    lambda kind, **fields: Outcome(kind, **fields),
    st.sampled_from(list(_KINDS.values())),
    order_id=words,
    reason=small,
    order=st.none() | records,
    fills=st.lists(st.tuples(words, words, words), max_size=3).map(tuple),
    makers=st.lists(words, max_size=3).map(tuple),
    legs=st.lists(records, max_size=2).map(tuple),
    canceled=st.lists(words, max_size=3).map(tuple),
    priority_kept=st.booleans(),
    due_at=words,
)


def outcome_told(outcome: Outcome) -> dict[str, Any]:
    fields = {name: getattr(outcome, name) for name in Outcome.__slots__}
    return {
        **fields,
        "order": outcome.order and record_told(outcome.order),
        "legs": tuple(record_told(leg) for leg in outcome.legs),
    }


def record_told(record: OrderRecord) -> tuple[type, dict[str, Any]]:
    names = {*OrderRecord.__slots__, *ConditionalOrderRecord.__slots__}
    return type(record), {name: getattr(record, name) for name in names}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2**63), st.lists(outcomes, max_size=3)), max_size=3))
def test_outcomes_arrive_as_they_were(answers: list[tuple[int, list[Outcome]]]) -> None:
    arrived = wire.decode_reply(wire.encode_reply(answers))
    assert [(number, [*map(outcome_told, each)]) for number, each in arrived] == [
        (number, [*map(outcome_told, each)]) for number, each in answers
    ]


def test_every_kind_of_outcome_an_engine_gives_can_travel() -> None:
    """``UNKNOWN`` is not among them: it stands for an answer that did not come."""
    kinds = {value for name, value in vars(envelope_module).items() if name.isupper() and isinstance(value, str)}
    assert set(_KINDS.values()) == kinds - {"unknown"}


# Garbage


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_entry(data)
    with pytest.raises(wire.WireError):
        wire.decode_reply(data)


@given(st.data())
def test_a_damaged_entry_is_refused_or_still_one(data: st.DataObject) -> None:
    whole = bytearray(wire.encode_entry(GATEWAY, [wire.encode_envelope(envelope(data.draw(orders), Cancel(7)), 1)]))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(small)
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        arrived = wire.decode_entry(damaged)
    except wire.WireError:
        return
    assert all(isinstance(command, KINDS) for each in arrived for command in each.commands)


ORDER_ROW = [0, 1, 1, 1, 0, 100, 5, 0, 0, 1, False, "", 0]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ([], "tag None"),
        ([99], "tag 99"),
        (["Order"], "tag 'Order'"),
        (5, "not a list"),
        (ORDER_ROW[:-1], "fields of Order"),
        ([*ORDER_ROW, None, 0], "fields of Order"),
        ([*ORDER_ROW[:4], 1.0, *ORDER_ROW[5:]], "fields of Order"),
        ([*ORDER_ROW[:10], 1, *ORDER_ROW[11:]], "fields of Order"),
        ([*ORDER_ROW, [1]], "fields of Conditions"),
        ([1, [1, 2]], "fields of Order"),
        ([3, 1, "1", 0], "fields of Cancel"),
        ([9, 1, [[1, 2, 3]], True], "not a transition"),
        ([9, 1, [5], True], "not a transition"),
    ],
)
def test_a_command_of_another_shape_is_refused(row: Any, word: str) -> None:
    with pytest.raises(wire.WireError, match=word):
        wire.decode_entry(msgpack.packb([wire.VERSION, GATEWAY, [[1, 1, 1, 0, "-", [row], None, None]]]))


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ([wire.VERSION + 1, GATEWAY, []], "of version 2"),
        ([wire.VERSION, GATEWAY], "cut"),
        ([wire.VERSION, 5, []], "no gateway"),
        ([wire.VERSION, GATEWAY, [[1, 1]]], "not an envelope"),
        ([wire.VERSION, GATEWAY, [["1", 1, 1, 0, "-", [], None, None]]], "head"),
        ([wire.VERSION, GATEWAY, [[1, 1, 1, 0, "-", [], [b""], None]]], "one fingerprint and detail"),
        ([wire.VERSION, GATEWAY, [[1, 1, 1, 0, "-", [[6]], None, [5]]]], "one fingerprint and detail"),
        ({}, "not a list"),
        (msgpack.ExtType(7, b"x"), "unknown extension 7"),
    ],
)
def test_an_entry_of_another_shape_is_refused(entry: Any, word: str) -> None:
    with pytest.raises(wire.WireError, match=word):
        wire.decode_entry(msgpack.packb(entry))


@pytest.mark.parametrize("row", [[], [99, 0, 0], [-1, 0, 0], [0, 0, 0, [1, 2]], [0, 0, 0, None, [[1]]], ["done", 0, 0]])
def test_an_outcome_of_another_shape_is_refused(row: list[Any]) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_reply(msgpack.packb([wire.VERSION, [[1, [row]]]]))


def test_a_small_outcome_is_small() -> None:
    assert len(wire.encode_reply([(1, [Outcome(DONE, order_id=5)])])) < 12
