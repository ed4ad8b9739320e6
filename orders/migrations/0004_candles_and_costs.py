"""Candles, and what positions cost: both made from the trades there are.

The trades are read in pages, in their order; what is kept of them meanwhile is a candle of each resolution and instrument
and two numbers of each position.
"""

from collections.abc import Iterator
from typing import Any

import django.db.models.deletion
from django.db import migrations, models

import orders.fields
from orders.candles import RESOLUTIONS, Candle, bucket_start, extend
from orders.costs import cost_after

PAGE = 5_000
_COLUMNS = ("id", "instrument_id", "price", "quantity", "taker_side", "maker_account_id", "taker_account_id", "at")
_SEQUENCE_MASK = 2**48 - 1
_BUY = 0


class _Candles:
    """Writes every candle when the next of its kind begins."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._current: dict[tuple[int, int], Candle] = {}
        self._over: list[Any] = []

    def add(self, instrument_id: int, at: int, price: int, quantity: int, sequence: int) -> None:
        for resolution, interval in enumerate(RESOLUTIONS):
            key = instrument_id, resolution
            before = self._current.get(key)
            after = self._current[key] = extend(before, bucket_start(interval, at), price, quantity, sequence)
            if before is not None and before.start != after.start:
                self._over.append(self._row(key, before))
        if len(self._over) >= PAGE:
            self._write()

    def finish(self) -> None:
        self._over.extend(self._row(key, candle) for key, candle in self._current.items())
        self._write()

    def _row(self, key: tuple[int, int], candle: Candle) -> Any:
        return self._model(instrument_id=key[0], resolution=key[1], **candle._asdict())

    def _write(self) -> None:
        self._model.objects.bulk_create(self._over)
        self._over.clear()


def _trades(trades: Any) -> Iterator[tuple[Any, ...]]:
    """All trades in their order."""
    last = 0
    while page := list(trades.filter(id__gt=last).order_by("id").values_list(*_COLUMNS)[:PAGE]):
        yield from page
        last = page[-1][0]


def _fill_in(apps: Any, schema_editor: Any) -> None:
    candles = _Candles(apps.get_model("orders", "Candle"))
    # Net position and its cost, by account and instrument.
    positions: dict[tuple[int, int], tuple[int, int]] = {}
    for number, instrument_id, price, quantity, taker_side, maker, taker, at in _trades(
        apps.get_model("orders", "Trade").objects
    ):
        moment = orders.fields.datetime_to_micros(at)
        candles.add(instrument_id, moment, price, quantity, number & _SEQUENCE_MASK)
        taken = quantity if taker_side == _BUY else -quantity
        for account_id, units in ((maker, -taken), (taker, taken)):
            net, cost = positions.get((account_id, instrument_id), (0, 0))
            positions[account_id, instrument_id] = net + units, cost_after(net, cost, units, price)
    candles.finish()
    rows = apps.get_model("orders", "Position").objects
    for (account_id, instrument_id), (_, cost) in positions.items():
        rows.filter(account_id=account_id, instrument_id=instrument_id).update(cost=cost)


class Migration(migrations.Migration):
    dependencies = [("orders", "0003_calendars")]

    operations = [
        migrations.AddField(
            model_name='position',
            name='cost',
            field=orders.fields.BigUnitsField(default=0),
        ),
        migrations.CreateModel(
            name='Candle',
            fields=[
                ('pk', models.CompositePrimaryKey('instrument_id', 'resolution', 'start', blank=True, editable=False, primary_key=True, serialize=False)),
                ('instrument', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='orders.instrument')),
                ('resolution', models.SmallIntegerField(choices=[(0, '1m'), (1, '1h'), (2, '1d')])),
                ('start', models.BigIntegerField()),
                ('open', models.BigIntegerField()),
                ('high', models.BigIntegerField()),
                ('low', models.BigIntegerField()),
                ('close', models.BigIntegerField()),
                ('volume', orders.fields.BigUnitsField()),
                ('notional', orders.fields.BigUnitsField()),
                ('trades', models.BigIntegerField()),
                ('last_sequence', models.BigIntegerField()),
            ],
            options={
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('resolution__gte', 0), ('resolution__lt', 3)), name='candle_resolution'),
                    models.CheckConstraint(condition=models.Q(('close__gte', models.F('low')), ('high__gte', models.F('open')), ('low__gt', 0), ('open__gte', models.F('low')), ('high__gte', models.F('close')), ('trades__gt', 0)), name='candle_prices'),
                ],
            },
        ),
        migrations.RunPython(_fill_in, migrations.RunPython.noop),
    ]
