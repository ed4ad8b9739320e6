"""The WebSocket protocol without any input or output: texts in, frames and a close code out.

Theory of operation
-------------------
* ``receive`` takes one message of the client and answers what the shell must do (``tasks``), or None where everything is said
  already. The shell does it before it gives the next message, and comes back with what the task names. The hub's messages
  come in by ``market``, ``execution`` and ``notice``. Time comes in with every call that needs it, in microseconds.
* What is to be sent waits in the ``outbox``; the shell takes it whenever the transport can, and when ``is_over`` closes with
  ``close_code``.
* Answers to order entry leave in the order of its requests, executions behind them: ``entry``.
* Whatever a client sends, nothing here raises: a message that cannot be carried out is answered with a problem. Too many of
  those in a row end the connection; so do silence, a reader that stands still, and more messages than a client needs.
"""

from pydantic import ValidationError

from orders.actors import READ, Actor
from orders.candles import INTERVALS
from orders.feed import frames
from orders.feed.board import Key
from orders.feed.frames import BOOK, CANDLES, EXECUTIONS, POSITIONS, Frame
from orders.schemas import strict_json
from orders.schemas.closing import (
    GOING_AWAY,
    KEY_REVOKED,
    NOT_AUTHENTICATED,
    RATE_LIMITED,
    RESTART,
    SLOW_CONSUMER,
    TOO_MANY_SUBSCRIPTIONS,
)
from orders.schemas.problems import ProblemError, from_validation
from orders.schemas.render import wire_time
from orders.schemas.socket import (
    MAX_SYMBOLS,
    ORDER_ENTRY,
    Auth,
    ClientMessage,
    MessageId,
    OrderEntry,
    Ping,
    SubscribeExecutions,
    SubscribeMarket,
    SubscribePositions,
    SubscribeStatus,
    UnsubscribeCandles,
    UnsubscribeMarket,
    message_id,
    parse_message,
)
from orders.selectors import InstrumentInfo
from orders.sockets.entry import Entry, Slot
from orders.sockets.outbox import Outbox
from orders.sockets.patience import CONTROL_PER_SECOND, SECOND, Patience
from orders.sockets.tasks import (
    Authenticate,
    ClosePrivate,
    Command,
    OpenExecutions,
    OpenPositions,
    Subscribe,
    Task,
    Unsubscribe,
)
from orders.submission import ANSWER_TIMEOUT_SECONDS, timed_out

# Bytes of one message: the longest useful one is a batch of 500 orders with all their fields.
MAX_MESSAGE_BYTES = 256 * 1024
# Subscriptions of one connection: each can cost an encoding per commit.
MAX_SUBSCRIPTIONS = MAX_SYMBOLS


class SocketProtocol:
    """One connection, opened ``at``. ``actor`` is who a session said it is, if any; ``connection_id`` goes into problems."""

    def __init__(self, *, actor: Actor | None, public_market_data: bool, connection_id: str, at: int = 0) -> None:
        self.actor = actor
        self.close_code: int | None = None
        self._is_leaving = False
        self.outbox = Outbox(self._skipped)
        self.entry = Entry(self.outbox)
        self._public = public_market_data
        self._connection_id = connection_id
        # Channels of the account that are open.
        self._private: set[str] = set()
        # Instrument (None: of the service) and detail as the hub knows them.
        self._subscriptions: dict[Key, tuple[InstrumentInfo | None, int]] = {}
        self._patience = Patience(at)

    # From the client

    def receive(self, text: str | None, at: int) -> Task | None:
        """One message; None for one that was not text."""
        if self.close_code is not None:
            return None
        self._patience.heard(at)
        given, slot = None, None
        try:
            value = self._read(text)
            given = message_id(value)
            if isinstance(value, dict) and isinstance(value.get("op"), str) and value["op"] in ORDER_ENTRY:
                slot = self._open_slot(value, given, at)
                return self._command(parse_message(value), slot)
            if not self._patience.allows(at):
                raise ProblemError(
                    "rate_limited", f"At most {CONTROL_PER_SECOND} messages a second beside order entry."
                )
            return self._carry_out(parse_message(value), at)
        except strict_json.JSONError as error:
            self._strike(given, slot, ProblemError("invalid_request", str(error)))
        except ValidationError as error:
            self._strike(given, slot, from_validation(error))
        except ProblemError as problem:
            self._strike(given, slot, problem)
        return None

    def _read(self, text: str | None) -> object:
        if text is None:
            raise ProblemError("invalid_request", "Messages are text: JSON objects.")
        if len(text) > MAX_MESSAGE_BYTES or (not text.isascii() and len(_utf8(text)) > MAX_MESSAGE_BYTES):
            raise ProblemError("request_too_large", f"A message has at most {MAX_MESSAGE_BYTES} bytes.")
        return strict_json.loads(text)

    # Order entry

    def _open_slot(self, value: dict[str, object], given: MessageId | None, at: int) -> Slot:
        orders = value.get("orders")
        weight = max(1, len(orders)) if isinstance(orders, list) else 1
        return self.entry.open(given, self.actor, weight, at + ANSWER_TIMEOUT_SECONDS * SECOND)

    def _command(self, message: OrderEntry, slot: Slot) -> Command:
        actor = self._expect_actor()
        scopes = ORDER_ENTRY[message.op]
        if actor.scopes.isdisjoint(scopes):
            raise ProblemError("permission_denied", f"This needs the scope {' or '.join(scopes)}.")
        if not actor.account_id:
            raise ProblemError("permission_denied", "You are not a member of any account.")
        self._patience.restore()
        return Command(message, slot)

    def result(self, slot: Slot, body: dict[str, object]) -> None:
        """A command was carried out."""
        self._answer(slot, {"op": "result", "id": slot.id, "ok": True, **body})

    def failed(self, slot: Slot, problem: ProblemError) -> None:
        """A command was refused, or its outcome is not known."""
        body = problem.body(self._connection_id)
        self._answer(slot, {"op": "result", "id": slot.id, "ok": False, "problem": body})

    def _answer(self, slot: Slot, message: dict[str, object]) -> None:
        if self.close_code is None or self._is_leaving:
            self.entry.answer(slot, frames.encode(message))
            self._look_at_bounds()

    @property
    def must_pause(self) -> bool:
        """Enough is under way: the shell reads no further until ``may_go_on``."""
        return self.close_code is None and (self.entry.is_full or self.outbox.line_is_long)

    @property
    def may_go_on(self) -> bool:
        return self.close_code is not None or (self.entry.has_room and not self.outbox.line_is_long)

    # The connection

    def _carry_out(self, message: ClientMessage, at: int) -> Task | None:
        if isinstance(message, Ping):
            self._patience.restore()
            self._say({"op": "pong", "id": message.id, "time": wire_time(at)})
            return None
        if isinstance(message, Auth):
            if self._private:
                raise ProblemError("invalid_request", "Leave the private channels before you become somebody else.")
            return Authenticate(message.id, message.key)
        if isinstance(message, SubscribeExecutions):
            after = None if message.after is None else {int(shard): place for shard, place in message.after.items()}
            return OpenExecutions(message.id, self._expect_account(), after)
        if isinstance(message, SubscribePositions):
            return OpenPositions(message.id, self._expect_account())
        if isinstance(message, SubscribeMarket | SubscribeStatus):
            return self._subscribe(message)
        if isinstance(message, UnsubscribeMarket | UnsubscribeCandles):
            return self._unsubscribe(message)
        if message.channel in (EXECUTIONS, POSITIONS):
            return ClosePrivate(message.id, message.channel)
        return Unsubscribe(message.id, tuple(key for key in self._subscriptions if key[0] == message.channel))

    def _subscribe(self, message: SubscribeMarket | SubscribeStatus) -> Task:
        if not self._public:
            self._expect_reader()
        detail = 0
        if message.channel == BOOK:
            detail = message.depth
        elif message.channel == CANDLES:
            detail = INTERVALS.index(message.interval)
        symbols = () if isinstance(message, SubscribeStatus) else tuple(dict.fromkeys(message.symbols))
        return Subscribe(message.id, message.channel, symbols, detail)

    def _unsubscribe(self, message: UnsubscribeMarket | UnsubscribeCandles) -> Task:
        interval = message.interval if isinstance(message, UnsubscribeCandles) else None
        detail = None if interval is None else INTERVALS.index(interval)
        keys = []
        for key, (info, its_detail) in self._subscriptions.items():
            is_named = info is not None and info.symbol in message.symbols
            if key[0] == message.channel and is_named and detail in (None, its_detail):
                keys.append(key)
        return Unsubscribe(message.id, tuple(keys))

    def _expect_actor(self) -> Actor:
        if self.actor is None:
            raise ProblemError("not_authenticated", "Send auth with a key first.")
        return self.actor

    def _expect_reader(self) -> Actor:
        actor = self._expect_actor()
        if READ not in actor.scopes:
            raise ProblemError("permission_denied", "The key lacks the scope read.")
        return actor

    def _expect_account(self) -> Actor:
        actor = self._expect_reader()
        if not actor.account_id:
            raise ProblemError("permission_denied", "You have no account.")
        return actor

    # From the shell, when it has done its task

    def authenticated(self, task: Authenticate, actor: Actor | None) -> None:
        """Whose key it is. A wrong key ends the connection: trying keys must not be cheap."""
        if actor is None:
            self._refuse(task.id, ProblemError("not_authenticated", "The key is not valid."))
            self.close(NOT_AUTHENTICATED)
            return
        self.actor = actor
        self._ack(task.id, account=actor.account_name, scopes=sorted(actor.scopes))

    def subscribed(self, task: Subscribe, instruments: list[InstrumentInfo]) -> list[InstrumentInfo | None]:
        """The symbols exist. Answers what to ask the hub for: None stands for the service itself."""
        found: list[InstrumentInfo | None] = list(instruments) if task.symbols else [None]
        wanted: dict[Key, tuple[InstrumentInfo | None, int]] = {}
        for info in found:
            detail = task.detail if task.channel == CANDLES else 0
            wanted[task.channel, 0 if info is None else info.id, detail] = (info, task.detail)
        if len(self._subscriptions.keys() | wanted.keys()) > MAX_SUBSCRIPTIONS:
            self._refuse(
                task.id, ProblemError("too_many_subscriptions", f"A connection has at most {MAX_SUBSCRIPTIONS}.")
            )
            self.close(TOO_MANY_SUBSCRIPTIONS)
            return []
        self._subscriptions |= wanted
        self.outbox.forget(lambda key: key in wanted)
        self._ack(task.id)
        return found

    def unsubscribed(self, task: Unsubscribe) -> None:
        for key in task.keys:
            self._subscriptions.pop(key, None)
        self.outbox.forget(lambda key: key in task.keys)
        self._ack(task.id)

    def executions_opened(self, task: OpenExecutions) -> None:
        self._private.add(EXECUTIONS)
        self._ack(task.id)
        self.outbox.resuming()

    def executions_told(self) -> None:
        """What was missed has been told; from here on it is live."""
        self.outbox.resumed()

    def positions_opened(self, task: OpenPositions) -> None:
        self._private.add(POSITIONS)
        self._ack(task.id)

    def private_closed(self, task: ClosePrivate) -> None:
        self._private.discard(task.channel)
        self.outbox.forget(lambda key: key[0] == task.channel)
        self._ack(task.id)

    def refused(self, task: Task, problem: ProblemError) -> None:
        """A task could not be done."""
        if isinstance(task, Command):
            self.failed(task.slot, problem)
        else:
            self._strike(task.id, None, problem)

    # From the hub

    def market(self, key: Key, frame: Frame) -> None:
        """A message that waits under the policy of its channel."""
        if self.close_code is None:
            self.outbox.market(key, frame)

    def execution(self, frame: Frame, order_id: int) -> None:
        """A step of an order; 0: where the stream begins."""
        if self.close_code is None:
            self.entry.execution(order_id, frame)
            self._look_at_bounds()

    def notice(self, frame: Frame) -> None:
        if self.close_code is None:
            self.outbox.answer(frame)
            self._look_at_bounds()

    def lost(self) -> list[tuple[str, InstrumentInfo, int]]:
        """Once nothing waits: what the reader lost and must begin anew, as the hub wants it. It has been told so."""
        found = []
        for key in self.outbox.take_lost():
            info, detail = self._subscriptions[key]
            assert info is not None
            self.outbox.market(key, frames.resync(key[0], info.symbol, "slow_reader", detail))
            found.append((key[0], info, detail))
        return found

    # Time and the end

    def tick(self, at: int, *, reads: bool, writes: bool) -> None:
        """About every second: whether the shell reads on, and whether the transport takes what it is given."""
        for slot in self.entry.overdue(at):
            give_up, slot.give_up = slot.give_up, None
            if give_up is None:
                self.failed(slot, timed_out(slot.order_id))
            else:
                give_up()  # which is answered before the next tick
        if self.close_code is None:
            code = self._patience.spent(at, reads=reads, writes=writes)
            if code is not None:
                self._drop(code)
        elif self._patience.goodbye_is_over(at):
            self.outbox.clear()
            self._is_leaving = False

    def close(self, code: int) -> None:
        """End the connection once what waits is sent. The first code counts.

        Where it is the server that leaves, commands under way are answered first.
        """
        if self.close_code is None:
            self.close_code = code
            self._is_leaving = code in (GOING_AWAY, RESTART)

    def revoked(self) -> None:
        """The key, or the session, is no longer good: nothing more is said."""
        self._drop(KEY_REVOKED)

    @property
    def is_clear(self) -> bool:
        """Whether a message may be sent past the outbox: nothing waits in it."""
        return self.close_code is None and not self.outbox

    @property
    def is_over(self) -> bool:
        """Whether the shell should close now."""
        if self.close_code is None or self.outbox:
            return False
        return not (self._is_leaving and self.entry.in_flight)

    def _drop(self, code: int) -> None:
        """End it at once."""
        if self.close_code is None:
            self.outbox.clear()
            self.close(code)

    def _look_at_bounds(self) -> None:
        if self.outbox.overflowed or self.entry.overflowed:
            self._drop(SLOW_CONSUMER)

    def _skipped(self, key: Key, count: int, previous: int, sequence: int) -> Frame:
        info, _ = self._subscriptions[key]
        assert info is not None
        head = {"channel": key[0], "symbol": info.symbol, "type": "skipped"}
        return frames.encode(head | {"count": count, "previous": previous, "sequence": sequence})

    # Saying

    def _say(self, message: dict[str, object]) -> None:
        if self.close_code is None:
            self.outbox.answer(frames.encode(message))
            self._look_at_bounds()

    def _ack(self, given: MessageId | None, **more: object) -> None:
        self._patience.restore()
        self._say({"op": "ack", "id": given, "ok": True, **more})

    def _refuse(self, given: MessageId | None, problem: ProblemError) -> None:
        self._say({"op": "ack", "id": given, "ok": False, "problem": problem.body(self._connection_id)})

    def _strike(self, given: MessageId | None, slot: Slot | None, problem: ProblemError) -> None:
        if slot is None:
            self._refuse(given, problem)
        else:
            self.failed(slot, problem)
        if problem.code.name == "rate_limited" and slot is None:
            self.close(RATE_LIMITED)
        elif (code := self._patience.strike(problem.code.status)) is not None:
            self.close(code)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
