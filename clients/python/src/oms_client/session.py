"""One client's session with the service over any number of connections, without input or output.

Theory of operation
-------------------
The shell (``aio``) owns the socket and the clock. It tells the session what happened, with the time (seconds of any
steady clock): ``connected``, ``received`` a text, ``tick`` several times a second, ``disconnected``. Each answers a list
of ``Output``: what to send, what to read over REST, what to tell the user. The session has no clock and no chance of
its own (``jitter`` is given), so any course of events can be played to it in a test.

* **Subscriptions** are wishes, asked for on every connection (``subscriptions``). What is kept of each stream, and how a
  fault in it is found, is in ``following``, ``book``, ``tape``, ``latest`` and ``executions``.
* **Commands** wait until they are settled: sent on the connection there is, again on the next one, or found out about
  over REST (``desk``, ``commands``). Their deadlines end them in any case.
* **Silence** of ten seconds, an answer that does not come, a message that makes no sense: the connection is given up
  (``Reconnect``), and the next one repairs everything. Heartbeats are answered: the service closes silent clients.
* With a key, nothing is sent before the service has accepted it. Where it does not, all ends (``Stopped``).
"""

import json
from collections.abc import Callable, Mapping, Sequence

from oms_client.commands import Command
from oms_client.desk import Desk
from oms_client.errors import Refused
from oms_client.errors import Stopped as StoppedError
from oms_client.following import Follower
from oms_client.line import Connect, Line, Output, Patience, Reconnect, Stopped, Topic
from oms_client.models import Json, Malformed, Order, Problem, ShardPlace, build
from oms_client.stats import Stats
from oms_client.subscriptions import Subscriptions

# The service says something at least every five seconds.
SILENCE_SECONDS = 10.0
# Close codes that blame the client: not to be had again at once.
BLAMING_CLOSE_CODES = range(4000, 4100)
BLAMED_DELAY_SECONDS = 1.0
# Close codes after which the same key would only be refused again.
FATAL_CLOSE_CODES = {4003: "the key may not do what was asked", 4030: "the key was revoked"}


class Session:
    """``key`` None: public channels only. ``jitter`` answers numbers from 0 to 1."""

    def __init__(self, *, key: str | None, jitter: Callable[[], float]) -> None:
        self.stats = Stats()
        self._key = key
        self._line = Line()
        self._desk = Desk(self._line, self.stats, jitter)
        self._subscriptions = Subscriptions(self._line, self.stats, jitter)
        self._patience = Patience(jitter)
        # When something was last heard; None without a connection, and on one that was given up.
        self._heard_at: float | None = None
        self._is_connected = False
        self._error: Exception | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection on which commands are sent at once."""
        return self._line.ready

    # The connection

    def connected(self, at: float) -> list[Output]:
        """A connection has been opened."""
        self.stats.connects += 1
        self._is_connected = True
        self._heard_at = at
        if self._key is None:
            self._ready(at)
        else:
            self._line.ask({"op": "auth", "key": self._key}, at, self._authenticated)
        return self._line.take()

    def received(self, text: str | bytes, at: float) -> list[Output]:
        """A message of the service."""
        self.stats.messages += 1
        self._heard_at = at
        try:
            message = json.loads(text)
            if not isinstance(message, dict):
                raise Malformed("an object was expected")
            self._take(message, at)
        except (ValueError, RecursionError) as error:
            # Malformed is a ValueError, as is what json and codecs raise.
            self.stats.malformed += 1
            self._give_up(f"a message that makes no sense: {error}", at)
        return self._line.take()

    def tick(self, at: float) -> list[Output]:
        """Time passes: call it several times a second, connected or not."""
        if self._heard_at is not None and at - self._heard_at >= SILENCE_SECONDS:
            self.stats.silences += 1
            self._give_up(f"nothing heard for {SILENCE_SECONDS:g} s", at)
        elif self._line.is_overdue(at):
            self._give_up("an answer has not come", at)
        self._desk.tick(at)
        self._subscriptions.tick(at)
        return self._line.take()

    def disconnected(self, at: float, close_code: int | None = None) -> list[Output]:
        """The connection has ended, or could not be opened."""
        self.stats.disconnects += self._is_connected
        self._is_connected = False
        self._heard_at = None
        self._line.broke()
        self._subscriptions.disconnected()
        self._desk.disconnected(at)
        if close_code in FATAL_CLOSE_CODES and self._error is None:
            self._stop(StoppedError(FATAL_CLOSE_CODES[close_code]))
        if self._error is None:
            blamed = close_code in BLAMING_CLOSE_CODES
            self._line.put(Connect(self._patience.next(BLAMED_DELAY_SECONDS if blamed else 0.0)))
        return self._line.take()

    def stop(self, error: Exception) -> list[Output]:
        """The user has had enough."""
        if self._error is None:
            self._stop(error)
        return self._line.take()

    # The user

    def submit(self, command: Command, at: float, deadline: float) -> tuple[int, list[Output]]:
        """Have something done until ``deadline``; the number comes back in ``Settled``. Raises what has stopped the session."""
        self._expect_alive()
        return self._desk.submit(command, at, deadline), self._line.take()

    def subscribe(self, topic: Topic, follower: Follower, terms: Mapping[str, object], at: float) -> list[Output]:
        """Have a topic followed. Raises what has stopped the session."""
        self._expect_alive()
        self._subscriptions.add(topic, follower, dict(terms), at)
        return self._line.take()

    def unsubscribe(self, topic: Topic) -> list[Output]:
        self._subscriptions.remove(topic)
        return self._line.take()

    def follower(self, topic: Topic) -> Follower | None:
        """What is known of a topic that is subscribed to."""
        return self._subscriptions.find(topic)

    def pause_executions(self) -> list[Output]:
        self._subscriptions.pause_executions()
        return self._line.take()

    def resume_executions(self, at: float) -> list[Output]:
        self._subscriptions.resume_executions(at)
        return self._line.take()

    # What was read over REST

    def order_found(self, command_id: int, order: Order | None, at: float) -> list[Output]:
        self._desk.found(command_id, order, at)
        return self._line.take()

    def order_unread(self, command_id: int, at: float) -> list[Output]:
        self._desk.unread(command_id, at)
        return self._line.take()

    def events_read(self, shard: int, events: Sequence[object], following: int | None, at: float) -> list[Output]:
        self._subscriptions.events_read(shard, events, following, at)
        return self._line.take()

    def events_unread(self, shard: int, at: float) -> list[Output]:
        self._subscriptions.events_unread(shard, at)
        return self._line.take()

    # Messages

    def _take(self, message: Json, at: float) -> None:
        if "channel" in message:
            self._patience.reset()
            topic = Topic(*(str(message.get(name, "")) for name in ("channel", "symbol", "interval")))
            self._subscriptions.told(_subscribed(topic), message, at)
        elif message.get("op") in ("ack", "result"):
            if not self._line.answer(message, at):
                self.stats.ignored += 1
        elif message.get("op") == "heartbeat":
            self._heartbeat(message, at)
        elif not isinstance(message.get("op"), str):
            raise Malformed("neither op nor channel")

    def _heartbeat(self, message: Json, at: float) -> None:
        self._line.send({"op": "ping"})
        shards = message.get("shards")
        if not isinstance(shards, Mapping):
            raise Malformed("shards: an object was expected")
        places = [build(ShardPlace, shard) for shard in shards.values()]
        if places:
            epoch = max(place.epoch for place in places)
            sequence = max(place.sequence for place in places)
            self._subscriptions.heartbeat(epoch, sequence, at)

    def _authenticated(self, answer: Json, at: float) -> None:
        if answer.get("ok") is True:
            self._ready(at)
            return
        problem = build(Problem, answer.get("problem"))
        if problem.status in (401, 403):
            self._stop(Refused(problem))
        else:
            self._give_up(f"the key was not looked at: {problem.code}", at)

    def _ready(self, at: float) -> None:
        self._line.ready = True
        self._subscriptions.ready(at)
        self._desk.ready(at)

    def _give_up(self, reason: str, at: float) -> None:
        """This connection is no use any more. Said once: ``disconnected`` will follow."""
        if self._heard_at is not None:
            self._heard_at = None
            self._line.broke()
            self._line.put(Reconnect(reason))

    def _stop(self, error: Exception) -> None:
        self._error = error
        self._line.ready = False
        self._desk.stop(error)
        self._subscriptions.stop(error)
        self._line.put(Stopped(error))

    def _expect_alive(self) -> None:
        if self._error is not None:
            raise StoppedError("the client has stopped") from self._error


def _subscribed(topic: Topic) -> Topic:
    """The topic that a message belongs to: the positions' messages name a symbol, their subscription does not."""
    return Topic(topic.channel) if topic.channel in ("executions", "positions", "status") else topic
