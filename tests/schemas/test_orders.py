"""New orders and amends: what makes sense together, and which field is named where it does not."""

import pytest
from pydantic import ValidationError

from orders.schemas.orders import AmendOrder, CancelAfter, CancelFilter, PlaceOrder, StopLoss
from orders.schemas.problems import from_validation

LATER = "2030-01-02T03:04:05Z"
# The least each type needs.
LEAST = {
    "limit": {"price": "100"},
    "market": {},
    "stop": {"stop_price": "95"},
    "stop_limit": {"stop_price": "95", "price": "94"},
    "trailing_stop": {"trail_percent": "1.5"},
}


def body(type: str = "limit", **fields: object) -> dict[str, object]:
    return {"symbol": "ACME-USD", "side": "sell", "quantity": "10", "type": type, **LEAST[type], **fields}


def problem(model: type, value: object) -> list[tuple[str, str]]:
    """Field and code of everything that is wrong."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    return [(error["field"], error["code"]) for error in from_validation(caught.value).errors]


@pytest.mark.parametrize("type", LEAST)
def test_the_least_is_enough(type):
    request = PlaceOrder.model_validate(body(type))
    assert request.life == ("ioc" if type == "market" else "gtc")


@pytest.mark.parametrize("type", LEAST)
def test_every_type_lives_as_long_as_it_may(type):
    lives = {
        "limit": ("gtc", "ioc", "fok", "day", "gtd"),
        "market": ("gtc", "ioc", "fok", "day"),
        "stop": ("gtc", "day", "gtd"),
        "stop_limit": ("gtc", "ioc", "fok", "day", "gtd"),
        "trailing_stop": ("gtc", "day", "gtd"),
    }[type]
    for life in ("gtc", "ioc", "fok", "day", "gtd"):
        fields = body(type, time_in_force=life, **({"expires_at": LATER} if life == "gtd" else {}))
        if life in lives:
            assert PlaceOrder.model_validate(fields).life == life
        else:
            assert ("time_in_force", "time_in_force_forbidden") in problem(PlaceOrder, fields)


# type, other fields: field at fault, code
REFUSED = [
    ("limit", {"price": None}, "price", "price_required"),
    ("limit", {"stop_price": "95"}, "stop_price", "stop_price_forbidden"),
    ("limit", {"trail_price": "1"}, "trail_price", "trail_price_forbidden"),
    ("limit", {"trail_percent": "1"}, "trail_percent", "trail_percent_forbidden"),
    ("market", {"price": "100"}, "price", "price_forbidden"),
    ("market", {"stop_price": "95"}, "stop_price", "stop_price_forbidden"),
    ("stop", {"stop_price": None}, "stop_price", "stop_price_required"),
    ("stop", {"price": "94"}, "price", "price_forbidden"),
    ("stop", {"trail_price": "1"}, "trail_price", "trail_price_forbidden"),
    ("stop_limit", {"stop_price": None}, "stop_price", "stop_price_required"),
    ("stop_limit", {"price": None}, "price", "price_required"),
    ("trailing_stop", {"trail_percent": None}, "trail_price", "trail_price_required"),
    ("trailing_stop", {"trail_price": "2"}, "trail_percent", "trail_percent_forbidden"),
    ("trailing_stop", {"price": "94"}, "price", "price_forbidden"),
    ("trailing_stop", {"stop_price": "95"}, "stop_price", "stop_price_forbidden"),
    # How long it lives.
    ("limit", {"time_in_force": "gtd"}, "expires_at", "expires_at_required"),
    ("limit", {"expires_at": LATER}, "expires_at", "expires_at_forbidden"),
    ("limit", {"expires_at": LATER, "time_in_force": "day"}, "expires_at", "expires_at_forbidden"),
    ("market", {"expires_at": LATER, "time_in_force": "gtd"}, "time_in_force", "time_in_force_forbidden"),
    ("stop", {"time_in_force": "fok"}, "time_in_force", "time_in_force_forbidden"),
    ("limit", {"time_in_force": "opg"}, "time_in_force", "literal_error"),
    # Post-only.
    ("limit", {"post_only": True, "time_in_force": "fok"}, "post_only", "post_only_forbidden"),
    ("market", {"post_only": True}, "post_only", "post_only_forbidden"),
    ("stop", {"post_only": True}, "post_only", "post_only_forbidden"),
    ("stop_limit", {"post_only": True}, "post_only", "post_only_forbidden"),
    # The displayed part.
    ("limit", {"display_quantity": "10"}, "display_quantity", "display_quantity_too_large"),
    ("limit", {"display_quantity": "10.0"}, "display_quantity", "display_quantity_too_large"),
    ("limit", {"display_quantity": "11"}, "display_quantity", "display_quantity_too_large"),
    ("limit", {"display_quantity": "0"}, "display_quantity", "not_positive"),
    ("limit", {"display_quantity": 5}, "display_quantity", "string_type"),
    ("limit", {"display_quantity": "1", "time_in_force": "ioc"}, "display_quantity", "display_quantity_forbidden"),
    ("market", {"display_quantity": "1"}, "display_quantity", "display_quantity_forbidden"),
    ("stop", {"display_quantity": "1"}, "display_quantity", "display_quantity_forbidden"),
    ("trailing_stop", {"display_quantity": "1"}, "display_quantity", "display_quantity_forbidden"),
    # Percentages.
    *(
        ("trailing_stop", {"trail_percent": text}, "trail_percent", "string_pattern_mismatch")
        for text in ("100", "1.555", "1.5%", "-1", "+1", "1e1", ".5", "5.", "", " 1", "\u0661")
    ),
    ("trailing_stop", {"trail_percent": "0.00"}, "trail_percent", "not_positive"),
    ("trailing_stop", {"trail_percent": 1.5}, "trail_percent", "string_type"),
    # Groups.
    ("limit", {"order_class": "oto"}, "order_class", "literal_error"),
    ("limit", {"stop_loss": {"stop_price": "90"}}, "stop_loss", "stop_loss_forbidden"),
    ("limit", {"take_profit": {"price": "90"}}, "take_profit", "take_profit_forbidden"),
    ("limit", {"order_class": "oco"}, "stop_loss", "stop_loss_required"),
    ("limit", {"order_class": "bracket"}, "stop_loss", "stop_loss_required"),
    ("limit", {"order_class": "bracket"}, "take_profit", "take_profit_required"),
]


@pytest.mark.parametrize(("type", "fields", "field", "code"), REFUSED)
def test_what_makes_no_sense_names_its_field(type, fields, field, code):
    assert (field, code) in problem(PlaceOrder, body(type, **fields))


STOP = {"stop_price": "90"}
GROUPS_REFUSED = [
    ({"order_class": "oco", "type": "stop", "price": None, "stop_price": "95", "stop_loss": STOP}, "order_class"),
    ({"order_class": "oco", "type": "market", "price": None, "stop_loss": STOP}, "order_class"),
    ({"order_class": "oco", "time_in_force": "ioc", "stop_loss": STOP}, "order_class"),
    ({"order_class": "oco", "take_profit": {"price": "110"}, "stop_loss": STOP}, "take_profit"),
    ({"order_class": "oco", "stop_loss": {}}, "stop_loss.stop_price"),
    ({"order_class": "oco", "stop_loss": {"price": "90"}}, "stop_loss.stop_price"),
    ({"order_class": "oco", "stop_loss": {"stop_price": "90", "trail_price": "1"}}, "stop_loss.trail_price"),
    ({"order_class": "oco", "stop_loss": {"trail_price": "1", "trail_percent": "1"}}, "stop_loss.trail_percent"),
    ({"order_class": "oco", "stop_loss": {"trail_price": "1", "price": "90"}}, "stop_loss.price"),
    ({"order_class": "oco", "stop_loss": {"stop_price": "90", "side": "buy"}}, "stop_loss.side"),
    ({"order_class": "oco", "stop_loss": {"stop_price": 90}}, "stop_loss.stop_price"),
    ({"order_class": "oco", "stop_loss": "90"}, "stop_loss"),
    # A seller wants more by the limit than by the stop, a buyer less.
    ({"order_class": "oco", "stop_loss": {"stop_price": "100"}}, "stop_loss"),
    ({"order_class": "oco", "side": "buy", "stop_loss": {"stop_price": "99.99"}}, "stop_loss"),
    ({"order_class": "bracket", "take_profit": {"price": "90"}, "stop_loss": STOP}, "stop_loss"),
    ({"order_class": "bracket", "take_profit": {"price": "91"}, "stop_loss": STOP}, "stop_loss"),
    ({"order_class": "bracket", "side": "buy", "take_profit": {"price": "89"}, "stop_loss": STOP}, "stop_loss"),
    ({"order_class": "bracket", "take_profit": {}, "stop_loss": STOP}, "take_profit.price"),
    (
        {"order_class": "bracket", "take_profit": {"price": "89", "quantity": "1"}, "stop_loss": STOP},
        "take_profit.quantity",
    ),
]


@pytest.mark.parametrize(("fields", "field"), GROUPS_REFUSED)
def test_groups_that_make_no_sense(fields, field):
    assert field in dict(problem(PlaceOrder, body(**fields)))


@pytest.mark.parametrize(
    ("stop", "type"),
    [
        ({"stop_price": "90"}, "stop"),
        ({"stop_price": "90", "price": "89"}, "stop_limit"),
        ({"trail_price": "2.5"}, "trailing_stop"),
        ({"trail_percent": "2.5"}, "trailing_stop"),
    ],
)
def test_a_stop_loss_is_a_stop_of_any_kind(stop, type):
    assert StopLoss.model_validate(stop).type == type
    PlaceOrder.model_validate(body(order_class="oco", stop_loss=stop))
    PlaceOrder.model_validate(body(order_class="bracket", side="buy", take_profit={"price": "110"}, stop_loss=stop))


@pytest.mark.parametrize("type", LEAST)
def test_an_entry_is_of_any_type(type):
    fields = {"order_class": "bracket", "side": "buy", "take_profit": {"price": "110"}, "stop_loss": STOP}
    assert PlaceOrder.model_validate(body(type, **fields)).type == type


def test_everything_wrong_is_told_at_once():
    found = problem(PlaceOrder, body("stop", price="1", time_in_force="ioc", post_only=True, display_quantity="1"))
    assert [field for field, _ in found] == ["price", "time_in_force", "post_only", "display_quantity"]


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00.000001Z", 1),
        ("2026-11-22T17:30:52Z", 1795368652000000),
        ("2026-11-22T17:30:52.5Z", 1795368652500000),
        ("2026-11-22T17:30:52.123456Z", 1795368652123456),
        ("2026-11-22T17:30:52+00:00", 1795368652000000),
        ("9999-12-31T23:59:59.999999Z", 253402300799999999),
    ],
)
def test_moments(text, micros):
    assert PlaceOrder.model_validate(body(time_in_force="gtd", expires_at=text)).expires_at == micros


@pytest.mark.parametrize(
    "text",
    [
        *("2026-11-22", "2026-11-22T17:30Z", "2026-11-22T17:30:52", "2026-11-22 17:30:52Z", "2026-11-22t17:30:52z"),
        *("2026-11-22T17:30:52+01:00", "2026-11-22T17:30:52-00:00", "2026-11-22T17:30:52.1234567Z", "now", ""),
        *("2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T23:59:60Z"),
        *("1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2026-11-22T17:30:52.Z"),
        *(
            "2026-W47-7T17:30:52Z",
            "\u0662\u0660\u0662\u0666-11-22T17:30:52Z",
            "2026-11-22T17:30:52Z\n",
            1795368652,
            None,
            True,
            [],
        ),
    ],
)
def test_moments_that_are_none(text):
    fields = dict(problem(PlaceOrder, body(time_in_force="gtd", expires_at=text)))
    assert set(fields) == {"expires_at"}


@pytest.mark.parametrize(
    "terms",
    [
        *({"price": "1"}, {"quantity": "1"}, {"stop_price": "1"}, {"trail_price": "1"}, {"trail_percent": "1"}),
        *({"display_quantity": "1"}, {"expires_at": LATER}, {"price": "1", "stop_price": "2", "quantity": "3"}),
    ],
)
def test_amends(terms):
    AmendOrder.model_validate(terms)


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ({}, [("", "nothing_to_amend")]),
        ({"price": None}, [("", "nothing_to_amend")]),
        ({"trail_price": "1", "trail_percent": "1"}, [("trail_percent", "trail_percent_forbidden")]),
        ({"quantity": "5", "display_quantity": "5.0"}, [("display_quantity", "display_quantity_too_large")]),
        ({"expires_at": 5}, [("expires_at", "moment")]),
        ({"time_in_force": "day"}, [("time_in_force", "unknown_field")]),
        ({"post_only": True}, [("post_only", "unknown_field")]),
    ],
)
def test_amends_that_are_none(terms, found):
    assert problem(AmendOrder, terms) == found


@pytest.mark.parametrize("seconds", [0, 1, 86_400])
def test_leases(seconds):
    assert CancelAfter.model_validate({"seconds": seconds}).seconds == seconds


@pytest.mark.parametrize("seconds", [-1, 86_401, 1.5, "30", True, None])
def test_leases_that_are_none(seconds):
    assert dict(problem(CancelAfter, {"seconds": seconds})).keys() == {"seconds"}


@pytest.mark.parametrize("name", ["", "a" * 65, "a\0b", "a\nb"])
def test_account_names_that_are_none(name):
    assert dict(problem(CancelFilter, {"account": name})).keys() == {"account"}
