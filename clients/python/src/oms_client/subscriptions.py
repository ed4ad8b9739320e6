"""What the user wants to hear: asked for on every connection, and again where a stream breaks.

A subscription whose follower is stale always waits for something that will come: a connection, the answer to its
request, the snapshot after it (asked for again after ``SNAPSHOT_SECONDS``), a moment to ask again, or events being
read over REST. ``tick`` sees to it that none waits for ever.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from oms_client.errors import Refused, ResumeImpossible
from oms_client.executions import Executions
from oms_client.following import Broken, Follower
from oms_client.line import Dropped, Line, Patience, ReadEvents, Told, Topic
from oms_client.models import Json, Malformed, Problem, build
from oms_client.stats import Stats

# Where a snapshot that was promised has not come, it is asked for again.
SNAPSHOT_SECONDS = 10.0
# A stream that breaks again at once is not asked for more often than this.
RESUBSCRIBE_SECONDS = 0.2
# Symbols one message may name, and subscriptions one connection may have.
MAX_SUBSCRIPTIONS = 200
EXECUTIONS = Topic("executions")


@dataclass(slots=True)
class Subscription:
    """One wish. ``terms`` go into its message; ``since``: from when on its snapshot is being waited for."""

    topic: Topic
    follower: Follower
    terms: dict[str, object]
    patience: Patience
    is_asked: bool = False
    # On this connection.
    was_asked: bool = False
    asked_at: float = -RESUBSCRIBE_SECONDS
    since: float = 0.0
    retry_at: float | None = None
    # Of executions: not wanted just now, because the user has not taken those there are.
    is_paused: bool = False
    # Of executions that are too old for the socket: where the reading of each shard stands (and when it goes on).
    reads: dict[int, tuple[int, float | None]] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        """Whether it can be asked for."""
        return not (self.is_asked or self.is_paused or self.reads)

    def is_due(self, at: float) -> bool:
        """Whether it must be asked for, on a connection that there is."""
        overdue = self.follower.stale and at - self.since >= SNAPSHOT_SECONDS
        return self.is_idle and (overdue or (self.retry_at is not None and at >= self.retry_at))


class Subscriptions:
    """All that the user wants, by topic."""

    def __init__(self, line: Line, stats: Stats, jitter: Callable[[], float]) -> None:
        self._line = line
        self._stats = stats
        self._jitter = jitter
        self._wanted: dict[Topic, Subscription] = {}

    # The user

    def add(self, topic: Topic, follower: Follower, terms: dict[str, object], at: float) -> None:
        """Raises ``ValueError`` past what one connection may have."""
        if len(self._wanted) >= MAX_SUBSCRIPTIONS:
            raise ValueError(f"a connection has at most {MAX_SUBSCRIPTIONS} subscriptions")
        self._wanted[topic] = Subscription(topic, follower, terms, Patience(self._jitter), retry_at=at)

    def remove(self, topic: Topic) -> None:
        if self._wanted.pop(topic, None) is not None:
            self._leave(topic)

    def find(self, topic: Topic) -> Follower | None:
        subscription = self._wanted.get(topic)
        return None if subscription is None else subscription.follower

    def pause_executions(self) -> None:
        """Leave the stream for a while; what comes meanwhile is resumed by ``resume_executions``."""
        subscription = self._wanted[EXECUTIONS]
        subscription.is_paused = True
        subscription.follower.disconnected()
        self._leave(EXECUTIONS)

    def resume_executions(self, at: float) -> None:
        subscription = self._wanted.get(EXECUTIONS)
        if subscription is not None and subscription.is_paused:
            subscription.is_paused = False
            self._ask_again(subscription, at)

    def stop(self, error: Exception) -> None:
        for topic in list(self._wanted):
            self._drop(topic, error)

    # The connection

    def ready(self, at: float) -> None:
        self._ask([subscription for subscription in self._wanted.values() if subscription.is_idle], at)

    def disconnected(self) -> None:
        for subscription in self._wanted.values():
            subscription.is_asked = subscription.was_asked = False
            subscription.retry_at = None
            subscription.follower.disconnected()

    def told(self, topic: Topic, message: Json, at: float) -> None:
        """A data message."""
        subscription = self._wanted.get(topic)
        if subscription is None or subscription.is_paused:
            self._stats.ignored += 1
            return
        follower = subscription.follower
        was_stale = follower.stale
        try:
            items = follower.take(message)
        except Broken:
            self._line.put(Told(topic, ()))
            self._ask_again(subscription, at)
        except ResumeImpossible as error:
            self._drop(topic, error)
            self._leave(topic)
        else:
            if follower.stale and not was_stale:
                subscription.since = at
            if items or follower.stale != was_stale:
                self._line.put(Told(topic, items))

    def heartbeat(self, epoch: int, sequence: int, at: float) -> None:
        """The highest numbers there are: a follower beyond them holds a wrong one, and begins anew."""
        for subscription in self._wanted.values():
            if not subscription.follower.stale and subscription.follower.doubts(epoch, sequence):
                self._stats.count("contradiction")
                subscription.follower.forget()
                self._ask_again(subscription, at)

    def tick(self, at: float) -> None:
        for subscription in list(self._wanted.values()):
            for shard, (after, retry_at) in subscription.reads.items():
                if retry_at is not None and at >= retry_at:
                    self._read(subscription, shard, after)
        if self._line.ready:
            self._ask([subscription for subscription in self._wanted.values() if subscription.is_due(at)], at)

    # Executions that are too old for the socket

    def events_read(self, shard: int, events: Sequence[object], following: int | None, at: float) -> None:
        """A page of ``GET events``; ``following`` is where the next one begins, None where there is none yet."""
        subscription = self._wanted.get(EXECUTIONS)
        if subscription is None or shard not in subscription.reads:
            return
        assert isinstance(subscription.follower, Executions)
        try:
            executions = subscription.follower.read(shard, events)
        except Malformed:
            self._stats.malformed += 1
            self.events_unread(shard, at)
            return
        subscription.patience.reset()
        if executions:
            self._line.put(Told(EXECUTIONS, executions))
        if following is not None:
            self._read(subscription, shard, following)
            return
        del subscription.reads[shard]
        if not subscription.reads:
            self._ask_again(subscription, at)

    def events_unread(self, shard: int, at: float) -> None:
        subscription = self._wanted.get(EXECUTIONS)
        if subscription is not None and shard in subscription.reads:
            after, _ = subscription.reads[shard]
            subscription.reads[shard] = (after, at + subscription.patience.next())

    def _read(self, subscription: Subscription, shard: int, after: int) -> None:
        subscription.reads[shard] = (after, None)
        self._line.put(ReadEvents(shard, after))

    # Asking

    def _ask_again(self, subscription: Subscription, at: float) -> None:
        """Soon, together with what else is due: many may break at once, and a flood of messages is not welcome."""
        subscription.retry_at = max(at, subscription.asked_at + RESUBSCRIBE_SECONDS)

    def _ask(self, subscriptions: Iterable[Subscription], at: float) -> None:
        """Ask for many: in one message those that differ by their symbol only."""
        together: dict[tuple[str, str], list[Subscription]] = {}
        for subscription in subscriptions:
            self._stats.resubscribes += subscription.was_asked
            subscription.was_asked = True
            subscription.is_asked, subscription.asked_at, subscription.retry_at = True, at, None
            together.setdefault((subscription.topic.channel, repr(subscription.terms)), []).append(subscription)
        for (channel, _), group in together.items():
            message: dict[str, object] = {"op": "subscribe", "channel": channel, **group[0].terms}
            follower = group[0].follower
            if isinstance(follower, Executions):
                after = follower.resume()
                if after is not None:
                    self._stats.resumes += 1
                    message["after"] = after
            elif group[0].topic.symbol:
                message["symbols"] = [subscription.topic.symbol for subscription in group]
            self._stats.subscribes += 1
            self._line.ask(message, at, partial(self._answered, group))

    def _answered(self, group: list[Subscription], answer: Json, at: float) -> None:
        """The answer to a subscription of one or many."""
        group = [subscription for subscription in group if self._wanted.get(subscription.topic) is subscription]
        for subscription in group:
            subscription.is_asked = False
            subscription.since = at
        if answer.get("ok") is True:
            for subscription in group:
                subscription.patience.reset()
            return
        problem = build(Problem, answer.get("problem"))
        if len(group) > 1:
            # Which of them it is about is not said: halves find it out.
            self._ask(group[: len(group) // 2], at)
            self._ask(group[len(group) // 2 :], at)
        elif group:
            self._refused(group[0], problem, at)

    def _refused(self, subscription: Subscription, problem: Problem, at: float) -> None:
        follower = subscription.follower
        if problem.code == "resume_too_old" and isinstance(follower, Executions):
            for shard, after in follower.after.items():
                self._read(subscription, shard, after)
        elif any(error.code == "not_reached" for error in problem.errors):
            self._drop(subscription.topic, ResumeImpossible(problem.detail))
        elif problem.retryable or problem.status >= 500:
            subscription.retry_at = at + subscription.patience.next()
        else:
            self._drop(subscription.topic, Refused(problem))

    def _drop(self, topic: Topic, error: Exception) -> None:
        del self._wanted[topic]
        self._line.put(Dropped(topic, error))

    def _leave(self, topic: Topic) -> None:
        if self._line.ready:
            message: dict[str, object] = {"op": "unsubscribe", "channel": topic.channel}
            if topic.symbol:
                message["symbols"] = [topic.symbol]
            if topic.interval:
                message["interval"] = topic.interval
            self._line.send(message)
