"""The connection as the parts of a session see it: questions with their answers, and all there is to be done outside."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from oms_client.models import Json

# The service answers a command within ten seconds, with engine_timeout if it must.
ANSWER_SECONDS = 15.0


class Topic(NamedTuple):
    """What one can subscribe to. ``symbol`` is empty where it is not of an instrument; ``interval`` is that of candles."""

    channel: str
    symbol: str = ""
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text on the connection."""

    text: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Give the connection up, then report ``disconnected``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Connect:
    """There is no connection: make one after so many seconds."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """Read an order over REST, then report ``order_found`` (None: there is none) or ``order_unread``."""

    command_id: int
    order_id: str | None
    client_order_id: str | None


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """Read a page of ``GET events`` over REST, then report ``events_read`` or ``events_unread``."""

    shard: int
    after_sequence: int


@dataclass(frozen=True, slots=True)
class Told:
    """News of a topic for its users."""

    topic: Topic
    items: Sequence[object]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A topic is over: its users get the error."""

    topic: Topic
    error: Exception


@dataclass(frozen=True, slots=True)
class Settled:
    """A command is over: its caller gets the result, or the error."""

    command_id: int
    result: object
    error: Exception | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing more will come, and no connection is worth making."""

    error: Exception


Output = Send | Reconnect | Connect | ReadOrder | ReadEvents | Told | Dropped | Settled | Stopped
Answered = Callable[[Json, float], None]


class Line:
    """``ready``: connected, and the key accepted. Answers go to who asked, as long as it is the same connection."""

    def __init__(self) -> None:
        self.ready = False
        self._out: list[Output] = []
        self._numbers = 0
        self._asked: dict[int, tuple[Answered, float]] = {}

    def put(self, output: Output) -> None:
        self._out.append(output)

    def take(self) -> list[Output]:
        """All that was put, once."""
        out, self._out = self._out, []
        return out

    def send(self, message: dict[str, Any]) -> None:
        self.put(Send(json.dumps(message, separators=(",", ":"))))

    def ask(self, message: dict[str, Any], at: float, answered: Answered) -> None:
        """Send a message that is answered by its id."""
        self._numbers += 1
        self._asked[self._numbers] = (answered, at)
        self.send({**message, "id": self._numbers})

    def answer(self, message: Json, at: float) -> bool:
        """An answer has come. False where nobody waits for it."""
        number = message.get("id")
        asked = self._asked.pop(number, None) if isinstance(number, int) else None
        if asked is None:
            return False
        asked[0](message, at)
        return True

    def is_overdue(self, at: float) -> bool:
        """Whether an answer has not come that should have."""
        return any(at - since > ANSWER_SECONDS for _, since in self._asked.values())

    def broke(self) -> None:
        """No answer will come any more."""
        self.ready = False
        self._asked.clear()


class Patience:
    """Delays between attempts: doubled with each failure, with some chance in them, so that not all come back at once."""

    FIRST_SECONDS = 0.1
    LAST_SECONDS = 2.0

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._failures = 0

    def next(self, at_least: float = 0.0) -> float:
        delay = min(self.LAST_SECONDS, max(at_least, self.FIRST_SECONDS * float(2 ** min(self._failures, 10))))
        self._failures += 1
        return delay * (0.75 + self._jitter() / 2)

    def reset(self) -> None:
        self._failures = 0
