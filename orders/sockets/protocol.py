"""The WebSocket protocol without any input or output: texts in, frames and a close code out.

Theory of operation
-------------------
* ``receive`` takes one message of the client and answers what the shell must do, as a value (or None where everything is
  said already): look up a key, join a channel. The shell does it and comes back with ``authenticated``, ``subscribed``,
  ``refused``. The hub's messages come in by ``market``, ``execution`` and ``notice``.
* What is to be sent waits in one queue, in order; the shell takes it by ``to_send`` and, when ``close_code`` is set and
  the queue is empty, closes.
* Whatever a client sends, nothing here raises: a message that cannot be carried out is answered with a problem. Too many
  of those in a row end the connection.
* The queue is bounded. Past ``MAX_WAITING_MARKET`` the public messages in it go; once it is empty the shell asks the hub
  for ``resnapshots``. Executions never go: past ``MAX_WAITING`` the connection ends with 4009 and the client resumes by
  sequence.
"""

from collections import deque
from dataclasses import dataclass

from pydantic import ValidationError

from orders.actors import READ, Actor
from orders.feed import frames
from orders.feed.frames import Frame
from orders.schemas import strict_json
from orders.schemas.problems import ProblemError, from_validation
from orders.schemas.render import wire_time
from orders.schemas.socket import (
    MAX_SYMBOLS,
    Auth,
    ClientMessage,
    MessageId,
    Ping,
    SubscribeBook,
    SubscribeExecutions,
    SubscribeMarket,
    UnsubscribeMarket,
    message_id,
    parse_message,
)
from orders.selectors import InstrumentInfo

# Close codes.
GOING_AWAY = 1001
BAD_MESSAGE = 4000
NOT_AUTHENTICATED = 4001
FORBIDDEN = 4003
SLOW_CONSUMER = 4009
TOO_MANY_SUBSCRIPTIONS = 4010

# Bytes of one message: the longest useful one names 200 symbols.
MAX_MESSAGE_BYTES = 64 * 1024
# Subscriptions of one connection: each can cost an encoding per commit.
MAX_SUBSCRIPTIONS = MAX_SYMBOLS
# Messages in a row that could not be carried out: a client that does not learn costs more than it is worth.
MAX_STRIKES = 20
# Public messages that may wait unsent: several seconds of a lively market. After that a snapshot is less to send.
MAX_WAITING_MARKET = 1_000
# Messages of any kind that may wait unsent: what a resume may bring, and as much again.
MAX_WAITING = 20_000

MarketKey = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Authenticate:
    """To do: find out whose key this is, then ``authenticated``."""

    id: MessageId | None
    key: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """To do: find the symbols, ``subscribed``, then ask the hub; or ``refused``. ``depth`` is 0 but for books."""

    id: MessageId | None
    channel: str
    symbols: tuple[str, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """To do: tell the hub of each; the client has its answer already."""

    channel: str
    instruments: tuple[InstrumentInfo, ...]


@dataclass(frozen=True, slots=True)
class OpenExecutions:
    """To do: have the hub read the account's past, ``executions_opened``, then let it tell; or ``refused``."""

    id: MessageId | None
    actor: Actor
    after: dict[int, int] | None


@dataclass(frozen=True, slots=True)
class CloseExecutions:
    """To do: tell the hub."""


Task = Authenticate | Subscribe | Unsubscribe | OpenExecutions | CloseExecutions


class SocketProtocol:
    """One connection. ``actor`` is who a session said it is, if any; ``connection_id`` goes into problems, for the logs."""

    def __init__(self, *, actor: Actor | None, public_market_data: bool, connection_id: str) -> None:
        self.actor = actor
        self.close_code: int | None = None
        self.executions = False
        self._public = public_market_data
        self._connection_id = connection_id
        self._strikes = 0
        # (channel, instrument id, 0) -> instrument and depth
        self._subscriptions: dict[MarketKey, tuple[InstrumentInfo, int]] = {}
        self._queue: deque[tuple[MarketKey | None, Frame]] = deque()
        self._waiting_market = 0
        self._shed: set[MarketKey] = set()

    # From the client

    def receive(self, text: str | None, at: int) -> Task | None:
        """One message; None for one that was not text. ``at`` is the time, in microseconds."""
        if self.close_code is not None:
            return None
        given = None
        try:
            if text is None:
                raise ProblemError("invalid_request", "Messages are text: JSON objects.")
            if len(text) > MAX_MESSAGE_BYTES or (not text.isascii() and len(_utf8(text)) > MAX_MESSAGE_BYTES):
                raise ProblemError("request_too_large", f"A message has at most {MAX_MESSAGE_BYTES} bytes.")
            value = strict_json.loads(text)
            given = message_id(value)
            task = self._carry_out(parse_message(value), at)
        except strict_json.JSONError as error:
            self._strike(None, ProblemError("invalid_request", str(error)))
        except ValidationError as error:
            self._strike(given, from_validation(error))
        except ProblemError as problem:
            self.refused(given, problem)
        else:
            return task
        return None

    def _carry_out(self, message: ClientMessage, at: int) -> Task | None:
        if isinstance(message, Ping):
            self._strikes = 0
            self._say({"op": "pong", "id": message.id, "time": wire_time(at)})
            return None
        if isinstance(message, Auth):
            return self._auth(message)
        if isinstance(message, SubscribeMarket):
            return self._subscribe(message)
        if isinstance(message, SubscribeExecutions):
            return self._subscribe_executions(message)
        if isinstance(message, UnsubscribeMarket):
            return self._unsubscribe(message)
        self.executions = False
        self._ack(message.id)
        return CloseExecutions()

    def _auth(self, message: Auth) -> Task:
        if self.executions:
            raise ProblemError("invalid_request", "Leave the private channels before you become somebody else.")
        return Authenticate(message.id, message.key)

    def _subscribe(self, message: SubscribeMarket) -> Task:
        if not self._public:
            self._expect_scope()
        depth = message.depth if isinstance(message, SubscribeBook) else 0
        return Subscribe(message.id, message.channel, tuple(dict.fromkeys(message.symbols)), depth)

    def _subscribe_executions(self, message: SubscribeExecutions) -> Task:
        actor = self._expect_scope()
        if not actor.account_id:
            raise ProblemError("permission_denied", "You have no account.")
        after = None if message.after is None else {int(shard): place for shard, place in message.after.items()}
        return OpenExecutions(message.id, actor, after)

    def _expect_scope(self) -> Actor:
        if self.actor is None:
            raise ProblemError("not_authenticated", "Send auth with a key first.")
        if READ not in self.actor.scopes:
            raise ProblemError("permission_denied", "The key lacks the scope read.")
        return self.actor

    def _unsubscribe(self, message: UnsubscribeMarket) -> Task:
        left = []
        for (channel, instrument_id, detail), (info, _) in list(self._subscriptions.items()):
            if channel == message.channel and info.symbol in message.symbols:
                del self._subscriptions[channel, instrument_id, detail]
                self._shed.discard((channel, instrument_id, detail))
                left.append(info)
        self._ack(message.id)
        return Unsubscribe(message.channel, tuple(left))

    # From the shell, when it has done its task

    def authenticated(self, task: Authenticate, actor: Actor | None) -> None:
        """Whose key it is. A wrong key ends the connection: trying keys must not be cheap."""
        if actor is None:
            self._refuse(task.id, ProblemError("not_authenticated", "The key is not valid."))
            self.close(NOT_AUTHENTICATED)
            return
        self.actor = actor
        self._ack(task.id, account=actor.account_name, scopes=sorted(actor.scopes))

    def subscribed(self, task: Subscribe, instruments: list[InstrumentInfo]) -> bool:
        """The symbols exist. Answers whether to go on and ask the hub."""
        wanted = {(task.channel, info.id, 0): (info, task.depth) for info in instruments}
        if len(self._subscriptions.keys() | wanted.keys()) > MAX_SUBSCRIPTIONS:
            self._refuse(
                task.id, ProblemError("too_many_subscriptions", f"A connection has at most {MAX_SUBSCRIPTIONS}.")
            )
            self.close(TOO_MANY_SUBSCRIPTIONS)
            return False
        self._subscriptions |= wanted
        self._shed -= wanted.keys()
        self._ack(task.id)
        return True

    def executions_opened(self, task: OpenExecutions) -> None:
        self.executions = True
        self._ack(task.id)

    def refused(self, given: MessageId | None, problem: ProblemError) -> None:
        """A message could not be carried out."""
        self._strike(given, problem)

    # From the hub

    def market(self, key: MarketKey, frame: Frame) -> None:
        """A public message. Dropped where the reader has fallen behind and waits for a new snapshot."""
        if key in self._shed or key not in self._subscriptions:
            return
        if self._waiting_market >= MAX_WAITING_MARKET:
            self._shed_market()
            return
        self._waiting_market += 1
        self._push(key, frame)

    def execution(self, frame: Frame) -> None:
        self._push(None, frame)

    def notice(self, frame: Frame) -> None:
        self._push(None, frame)

    def close(self, code: int) -> None:
        """End the connection once the queue is sent. The first code counts."""
        if self.close_code is None:
            self.close_code = code

    # To the client

    def to_send(self) -> Frame | None:
        """The next frame, if any."""
        if not self._queue:
            return None
        key, frame = self._queue.popleft()
        if key is not None:
            self._waiting_market -= 1
        return frame

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def resnapshots(self) -> list[tuple[str, InstrumentInfo, int]]:
        """Once the queue is empty: what the reader lost and must begin anew, as (channel, instrument, depth)."""
        if self._queue or not self._shed:
            return []
        lost = sorted(self._shed)
        self._shed.clear()
        found = []
        for key in lost:
            info, depth = self._subscriptions[key]
            self._push(None, frames.resync(key[0], info.symbol, "slow_reader"))
            found.append((key[0], info, depth))
        return found

    def _shed_market(self) -> None:
        """The reader is too slow: drop every public message, and tell it so when it has caught up."""
        self._shed.update(self._subscriptions)
        self._queue = deque(item for item in self._queue if item[0] is None)
        self._waiting_market = 0

    def _push(self, key: MarketKey | None, frame: Frame) -> None:
        if self.close_code is not None:
            return
        if len(self._queue) >= MAX_WAITING:
            self._queue.clear()
            self._waiting_market = 0
            self.close(SLOW_CONSUMER)
        else:
            self._queue.append((key, frame))

    def _say(self, message: dict[str, object]) -> None:
        self._push(None, frames.encode(message))

    def _ack(self, given: MessageId | None, **more: object) -> None:
        self._strikes = 0
        self._say({"op": "ack", "id": given, "ok": True, **more})

    def _refuse(self, given: MessageId | None, problem: ProblemError) -> None:
        self._say({"op": "ack", "id": given, "ok": False, "problem": problem.body(self._connection_id)})

    def _strike(self, given: MessageId | None, problem: ProblemError) -> None:
        self._refuse(given, problem)
        self._strikes += 1
        if self._strikes >= MAX_STRIKES:
            self.close({401: NOT_AUTHENTICATED, 403: FORBIDDEN}.get(problem.code.status, BAD_MESSAGE))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
