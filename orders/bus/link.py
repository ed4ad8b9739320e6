"""One connection to Redis, for one thread, on which nothing is ever sent twice.

redis-py's client repeats commands on its own after a failure, which would place an order twice. So the bus uses its connections
directly: what is not known to have failed stays unknown, and who sends again decides that for himself.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

# How long an answer may take, on top of what a command itself waits for. A Redis that needs longer has lost its disk or is
# frozen: its callers are better told.
ANSWER_SECONDS = 1.0

# A connection that answered so lately is not looked at before it is used again: a look costs as much as a small command, most
# of it in giving the interpreter to other threads and back.
FRESH_SECONDS = 0.05

Call = tuple[str | bytes | int, ...]


class NotConnected(RedisError):
    """Redis cannot be reached: nothing was sent."""


class Link:
    """Connects by itself.

    ``blocks_seconds`` is the longest that its commands wait on purpose. ``on_connect`` is called on every new connection
    before anything else is sent on it, and may send; where it raises, there is no connection.
    """

    def __init__(self, url: str, *, blocks_seconds: float = 0.0, on_connect: Callable[[], None] = lambda: None) -> None:
        pool = ConnectionPool.from_url(
            url,
            protocol=2,
            socket_connect_timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS + blocks_seconds,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
        )
        self._connection = pool.make_connection()
        self._on_connect = on_connect
        self._is_connected = False
        self._answered_at = 0.0

    def connect(self) -> bool:
        """Connect where there is no connection, or the other side has hung up. Returns whether it is a new one.

        Raises ``NotConnected``, also while a Redis that has just started still loads its data.
        """
        if self._is_connected and not self._has_ended():
            return False
        self.close()
        try:
            self._connection.connect()
            self._connection.send_command("PING")
            self._connection.read_response()
        except RedisError as error:
            self.close()
            raise NotConnected(str(error)) from error
        self._is_connected = True
        self._answered_at = monotonic()
        try:
            self._on_connect()
        except BaseException:
            self.close()
            raise
        return True

    def _has_ended(self) -> bool:
        """What can be read without having asked is the end, or nobody's answer."""
        if monotonic() - self._answered_at < FRESH_SECONDS:
            return False
        try:
            return self._connection.can_read()
        except RedisError:
            return True

    def call(self, *calls: Call) -> list[Any]:
        """Send commands in one go and return their answers; an error that Redis answers is an answer: ``ResponseError``.

        Raises ``NotConnected`` where nothing was sent, any other ``RedisError`` where it is not known what was carried out.
        """
        self.connect()
        try:
            self._connection.send_packed_command(self._connection.pack_commands(calls))
            answers = [self._answer() for _ in calls]
        except BaseException:
            # What is left unread must not be taken for the next answer.
            self.close()
            raise
        self._answered_at = monotonic()
        return answers

    def _answer(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as error:
            return error

    def close(self) -> None:
        self._is_connected = False
        self._connection.disconnect()


def checked(answers: list[Any]) -> list[Any]:
    """The same answers. Raises the first that is an error."""
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer
    return answers
