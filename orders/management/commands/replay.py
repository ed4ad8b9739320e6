"""A file of recorded order flow through the real engine."""

import csv
import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, time_ns
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from matching.commands import DefineAccount, DefineInstrument
from orders import gateway, selectors
from orders.actors import SCOPES, Actor
from orders.engine.service import EmbeddedEngine
from orders.flow import FlowError, FlowLine, read_flow
from orders.management.commands._server import owned_engine, tune_interpreter
from orders.models import Account
from orders.models.trading import event_id
from orders.replaying import DurableReplay, Interrupted, Replayed, replay_in_memory
from orders.schemas.problems import ProblemError

ACCOUNT = "replay"
# The replay's account may keep as many orders open as a day of any file has.
MAX_OPEN_ORDERS = 100_000_000
TRADE_COLUMNS = ("flow_seq", "aggressor_id", "resting_id", "aggr_side", "price", "qty")
BOOK_COLUMNS = ("flow_seq", "side", "level", "price", "qty", "orders")
_REPLAYER = Actor(0, "replay", 0, ACCOUNT, frozenset(SCOPES))
_BAR_WIDTH = 40


class Command(BaseCommand):
    help = (
        "Run a file of recorded order flow (CSV, plain or gzip) through the real engine, durably unless --memory. "
        "The columns are described in orders/flow.py, those of orders of every type in orders/flow_terms.py."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--symbol", required=True, help="instrument; made with tick 1 and step 1 if missing")
        parser.add_argument("--trades", type=Path, help=f"write every trade: {','.join(TRADE_COLUMNS)}")
        parser.add_argument(
            "--books", type=Path, help=f"write the book after every 1000th line: {','.join(BOOK_COLUMNS)}"
        )
        parser.add_argument("--memory", action="store_true", help="through the bare core: nothing is stored")

    def handle(
        self, *args: Any, file: Path, symbol: str, trades: Path | None, books: Path | None, memory: bool, **options: Any
    ) -> None:
        tune_interpreter()
        started = perf_counter()
        # A file becomes a million tuples that all stay: nothing for the collector to find.
        gc.disable()
        try:
            lines = read_flow(file)
        except FlowError as error:
            raise CommandError(f"{file}: {error}; nothing was applied") from None
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        finally:
            gc.enable()
        progress = Progress(len(lines), sys.stderr)
        gc.freeze()
        if memory:
            done = replay_in_memory(lines, books=books is not None, progress=progress)
            seconds = perf_counter() - started
        else:
            reading = perf_counter() - started
            with owned_engine() as engine:
                started = perf_counter()
                done = self._durable(engine, lines, symbol, books is not None, progress)
                seconds = reading + perf_counter() - started
        progress.end()
        if trades is not None:
            write_csv(trades, TRADE_COLUMNS, done.trades)
        if books is not None:
            write_csv(books, BOOK_COLUMNS, done.books)
        if done.refused:
            self.stderr.write(
                f"{done.refused} new orders were refused: post-only, or they do not fit the rules of {symbol}"
            )
        self.stdout.write(closing_line(done, seconds))

    def _durable(
        self,
        engine: EmbeddedEngine,
        lines: list[FlowLine],
        symbol: str,
        books: bool,
        progress: Callable[[int], None],
    ) -> Replayed:
        account, _ = Account.objects.get_or_create(name=ACCOUNT, defaults={"created_at": time_ns() // 1000})
        group_seconds: list[float] = []
        try:
            gateway.account_define(
                actor=_REPLAYER, definition=DefineAccount(account.id, max_open_orders=MAX_OPEN_ORDERS)
            )
            instrument = empty_instrument(symbol)
            replay = DurableReplay(
                account_id=account.id,
                instrument_id=instrument.id,
                new_id=gateway.order_ids.next,
                submit=lambda commands: gateway.commands_submit(
                    actor=_REPLAYER, commands=commands, shard_id=instrument.shard_id
                ),
                books=books,
                after=last_event(instrument.shard_id),
            )
            engine.loop.publisher.listeners.append(replay.listener)
            engine.loop.on_commit = lambda commands, seconds: group_seconds.append(seconds)
            done = replay.run(lines, progress)
        except ProblemError as problem:
            raise CommandError(f"{problem.code.name}: {problem.detail}") from None
        except Interrupted as error:
            raise CommandError(f"{error}; what was committed before stays") from None
        done.group_seconds = group_seconds
        return done


def empty_instrument(symbol: str) -> selectors.InstrumentInfo:
    """The instrument, made if missing. Raises ``CommandError`` where its book is not empty."""
    try:
        instrument = selectors.instrument_by_symbol(symbol)
    except ProblemError:
        base, _, quote = symbol.partition("-")
        definition = DefineInstrument(0, symbol, base[:16], quote[:16])
        gateway.instrument_define(actor=_REPLAYER, definition=definition)
        return selectors.instrument_by_symbol(symbol)
    if selectors.open_order_count(instrument_id=instrument.id):
        raise CommandError(
            f"The book of {symbol} is not empty: replay into another symbol, or cancel its orders first."
        )
    return instrument


def last_event(shard_id: int) -> int:
    """The id of the newest event of a shard."""
    return next(event_id(row.id, row.last_sequence) for row in selectors.shard_list() if row.id == shard_id)


def closing_line(done: Replayed, seconds: float) -> str:
    """``N lines, N trades, N lines/s, group p50 N ms p99 N ms``."""
    times = sorted(done.group_seconds) or [0.0]
    p50, p99 = (times[min(len(times) - 1, int(len(times) * share))] * 1000 for share in (0.5, 0.99))
    rate = done.lines / seconds if seconds else 0.0
    return f"{done.lines} lines, {len(done.trades)} trades, {rate:.0f} lines/s, group p50 {p50:.1f} ms p99 {p99:.1f} ms"


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A CSV file with a header, as the recordings have it."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


class Progress:
    """A bar on a terminal; nothing where standard error is a file."""

    def __init__(self, total: int, stream: Any) -> None:
        self._total = max(1, total)
        self._stream = stream if stream.isatty() else None
        self._shown = -1

    def __call__(self, done: int) -> None:
        percent = done * 100 // self._total
        if self._stream is not None and percent != self._shown:
            self._shown = percent
            filled = percent * _BAR_WIDTH // 100
            self._stream.write(f"\r[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {percent:3d} % {done} lines")
            self._stream.flush()

    def end(self) -> None:
        if self._stream is not None:
            self._stream.write("\n")
