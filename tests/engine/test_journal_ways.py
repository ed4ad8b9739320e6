"""The way rows get into this database: every value arrives as it was, and what cannot is refused, not bent."""

from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction

from matching.events import ACCEPTED, TRANSFERRED
from orders.engine import statements
from orders.engine.journal import Journal
from orders.models import Candle, ClientOrderId, Deposit, Event, Position

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has no widths and no connection to lose"
)

LARGEST = 2**63 - 1
# Whatever means something to COPY, to arrays or to SQL.
TEXT = "a\tb\nc\\N\\.\r{\"x\": null}, 'y' %s NULL ü €"


def write(how: str, shape: statements.Shape, *values: tuple[Any, ...]) -> None:
    with transaction.atomic(), connection.cursor() as cursor, Journal(0, 0, 0, 0).way(cursor) as rows:
        getattr(rows, how)(shape, values)


def event(number: int, **values: Any) -> tuple[Any, ...]:
    """A row of the event table with small numbers, but for ``values``."""
    row = dict.fromkeys(statements.EVENT.columns, 0)
    row.update(id=number, kind=ACCEPTED, order_id=1, actor_id=None, received_at=None, detail=None)
    row.update(values)
    return tuple(row.values())


def test_new_rows_are_as_they_were() -> None:
    rows = [
        event(1, price=LARGEST, other=-LARGEST - 1),
        event(2, kind=TRANSFERRED, detail=TEXT, order_id=None, status=None),
    ]
    write("insert", statements.EVENT, *rows)
    assert sorted(Event.objects.values_list(*statements.EVENT.columns[:12])) == [row[:12] for row in rows]
    assert list(Event.objects.order_by("id").values_list("detail", flat=True)) == [None, TEXT]


def test_rows_that_may_be_there_are_made_and_then_changed() -> None:
    largest, smallest = 10**39 - 1, 1 - 10**39
    write("upsert", statements.POSITION, (1, 1, *"12345"), (1, 2, *(str(largest),) * 4, str(smallest)))
    write("upsert", statements.POSITION, (1, 1, str(largest), *"2345"), (2, 1, *"00000"))
    columns = statements.POSITION.columns
    assert sorted(Position.objects.values_list(*columns)) == [
        (1, 1, largest, 2, 3, 4, 5),
        (1, 2, largest, largest, largest, largest, smallest),
        (2, 1, 0, 0, 0, 0, 0),
    ]


def test_what_is_constant_of_a_row_stays() -> None:
    write("upsert", statements.CANDLE, (1, 0, 60, 10, 10, 10, 10, "5", "50", 1, 1))
    write("upsert", statements.CANDLE, (1, 0, 60, 9, 12, 9, 11, "7", "70", 2, 2))
    columns = ("open", "high", "low", "close", "volume", "notional", "trades", "last_sequence")
    assert Candle.objects.values_list(*columns).get() == (10, 12, 9, 11, 7, 70, 2, 2)


def test_text_in_a_key_is_as_it_was() -> None:
    odd = "\"{,}\\ '%s"
    write("upsert", statements.DEPOSIT, (1, 0, odd, "5"), (1, 0, "NULL", "6"), (1, 0, "", "7"))
    write("upsert", statements.DEPOSIT, (1, 0, odd, "-8"))
    assert dict(Deposit.objects.values_list("currency", "amount")) == {odd: -8, "NULL": 6, "": 7}


def test_what_is_claimed_is_kept_as_it_was_and_not_given_again() -> None:
    journal = Journal(0, 0, 0, 0)
    odd = "\"{,}\\ '%s"
    first = {
        (1, odd): (LARGEST, bytes(range(16))),
        (1, "NULL"): (5, b'\\"' * 8),
        (2, odd): (6, bytes(16)),
        (1, ""): (7, b"\xff" * 16),
    }
    with transaction.atomic():
        assert journal.claim(first).known == {}
    second = {(1, odd): (8, bytes(16)), (3, "new"): (9, bytes(16)), (1, "NULL"): (5, b'\\"' * 8)}
    with transaction.atomic():
        assert journal.claim(second).known == {key: first[key] for key in ((1, odd), (1, "NULL"))}
    kept = ClientOrderId.objects.values_list("account_id", "client_order_id", "order_id", "fingerprint")
    expected = {**first, (3, "new"): second[3, "new"]}
    assert {(row[0], row[1]): (row[2], bytes(row[3])) for row in kept} == expected


def test_what_breaks_a_rule_of_the_table_is_djangos_error() -> None:
    with pytest.raises(IntegrityError):
        write("insert", statements.EVENT, event(1, kind=0))
    with pytest.raises(IntegrityError):
        write("insert", statements.EVENT, event(1), event(1))
    assert not Event.objects.exists()


def test_nothing_is_left_on_the_connection() -> None:
    write("upsert", statements.RATE, (1, 0, 5))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for name in ("seqscan", "hashjoin", "mergejoin"):
                cursor.execute(f"SHOW enable_{name}")
                assert cursor.fetchone() == ("on",)


@on_postgresql
def test_what_does_not_fit_is_djangos_error() -> None:
    for row in (event(1, price=LARGEST + 1), event(1, kind=2**15), event(1, detail="\0")):
        with pytest.raises(DataError):
            write("insert", statements.EVENT, row)
    for currency, amount in (("seventeen letters", "1"), ("USD", str(10**39)), ("a\0", "1")):
        with pytest.raises(DataError):
            write("upsert", statements.DEPOSIT, (1, 0, currency, amount))
    assert not Event.objects.exists() and not Deposit.objects.exists()


@on_postgresql
@pytest.mark.parametrize(
    "how, shape, row", [("insert", statements.EVENT, event(1)), ("upsert", statements.RATE, (1, 0, 5))]
)
def test_a_lost_connection_is_djangos_error(how: str, shape: statements.Shape, row: tuple[Any, ...]) -> None:
    other = connection.copy()
    try:
        with pytest.raises(OperationalError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            with other.cursor() as killer:
                killer.execute("SELECT pg_terminate_backend(%s)", cursor.fetchone())
            with Journal(0, 0, 0, 0).way(cursor) as rows:
                getattr(rows, how)(shape, [row])
    finally:
        other.close()
        connection.close()
    write("insert", statements.EVENT, event(1))
