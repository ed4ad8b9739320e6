"""What random commands leave in the tables of ``DATABASE_URL``, an empty database: ``python -m tests.engine.rows SEED``.

One line of JSON a row. Clock, ids and failures come from the seed, so two databases must print the same.
"""

import json
import logging
import sys
from collections.abc import Iterator

import django

STEPS = 400


def lines() -> Iterator[str]:
    """Every row the engine writes, in the order of their keys; numbers of any size as they are."""
    from orders import models

    written = (
        *(models.Shard, models.Instrument, models.Account, models.Order, models.Event, models.Trade),
        *(models.Position, models.Candle, models.Lease, models.Deposit),
    )
    for model in written:
        # A position's own id is the database's to give.
        names = [
            field.attname for field in model._meta.concrete_fields if (model, field.name) != (models.Position, "id")
        ]
        rows = sorted(
            ([str(value) if value is not None else "" for value in row] for row in model.objects.values_list(*names)),
        )
        yield from (json.dumps([model.__name__, *row]) for row in rows)


def main() -> None:
    django.setup()
    from django.core.management import call_command

    from tests.engine.long_run import LongRun, steps

    logging.disable(logging.CRITICAL)
    call_command("migrate", interactive=False, verbosity=0)
    seed = int(sys.argv[1])
    LongRun(seed).run(steps(seed, STEPS))
    print(*lines(), sep="\n")


if __name__ == "__main__":
    main()
