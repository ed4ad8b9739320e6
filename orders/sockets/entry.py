"""Order entry of one connection: answers in the order of the requests, and no execution before the answer to its order.

Theory of operation
-------------------
* Every request takes a ``Slot``. Its answer may come at any time, from any thread's work; it leaves when all before it have.
* Answers and executions come by different ways. An execution of an order that a waiting slot is about is held back behind
  the slot's answer, and so is every execution after it: the stream stays in order. Which orders a request is about may be
  known only later, or never (``cancel_all``): until then it could be any of them, and all executions wait.
* Nothing waits for ever: a slot without an answer is over at its deadline; what was held back goes on behind the answer that
  says so. An answer that comes later is dropped.
"""

from collections import deque
from collections.abc import Callable

from orders.actors import Actor
from orders.feed.frames import Frame
from orders.schemas.socket import MessageId
from orders.sockets.outbox import MAX_EXECUTIONS, Outbox

# Commands under way: a few groups of the engine. Past it no more are read until half of them are answered.
MAX_IN_FLIGHT = 1_000


class Slot:
    """A request: ``weight`` is its number of commands, ``order_ids`` None means it may be about any order.

    ``order_id`` is the one to name where the outcome stays unknown; ``actor`` sent it. ``give_up`` has it answered with what
    is known so far, where it waits for several shards.
    """

    __slots__ = ("actor", "deadline", "frame", "give_up", "id", "order_id", "order_ids", "weight")

    def __init__(self, given: MessageId | None, actor: Actor | None, weight: int, deadline: int) -> None:
        self.id = given
        self.actor = actor
        self.weight = weight
        self.deadline = deadline
        self.order_ids: tuple[int, ...] | None = None
        self.order_id: int | None = None
        self.frame: Frame | None = None
        self.give_up: Callable[[], None] | None = None


class Entry:
    """The slots of one connection; what may leave goes to its outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self.in_flight = 0
        self.overflowed = False
        self._outbox = outbox
        self._slots: deque[Slot] = deque()
        self._held: deque[tuple[int, Frame]] = deque()
        # How many waiting slots are about an order, and how many could be about any.
        self._pending: dict[int, int] = {}
        self._vague = 0

    @property
    def is_full(self) -> bool:
        return self.in_flight >= MAX_IN_FLIGHT

    @property
    def has_room(self) -> bool:
        """After it was full."""
        return self.in_flight <= MAX_IN_FLIGHT // 2

    def open(self, given: MessageId | None, actor: Actor | None, weight: int, deadline: int) -> Slot:
        """The slot of the next request. Deadlines must not go back."""
        slot = Slot(given, actor, weight, deadline)
        self._slots.append(slot)
        self.in_flight += weight
        self._vague += 1
        return slot

    def about(self, slot: Slot, order_ids: tuple[int, ...], order_id: int | None) -> None:
        """Which orders the request is about, now that it is known; none of them has been told of yet."""
        if slot.order_ids is not None or slot.frame is not None:
            return
        slot.order_ids, slot.order_id = order_ids, order_id
        self._vague -= 1
        for each in order_ids:
            self._pending[each] = self._pending.get(each, 0) + 1
        self._release()

    def answer(self, slot: Slot, frame: Frame) -> None:
        """Any time; where the slot is over already the answer is dropped."""
        if slot.frame is not None:
            return
        slot.frame = frame
        slot.give_up = None  # it knows the command, which knows the slot: a circle of garbage
        if self._slots[0] is slot:
            self._send_answers()

    def execution(self, order_id: int, frame: Frame) -> None:
        if self._held or self._waits(order_id):
            self._held.append((order_id, frame))
            self.overflowed |= len(self._held) > MAX_EXECUTIONS
        else:
            self._outbox.execution(frame)

    def overdue(self, at: int) -> list[Slot]:
        """Slots whose answer did not come in time."""
        late = []
        for slot in self._slots:
            if slot.deadline > at:
                break
            if slot.frame is None:
                late.append(slot)
        return late

    def _waits(self, order_id: int) -> bool:
        return self._vague > 0 or order_id in self._pending

    def _send_answers(self) -> None:
        while self._slots and (frame := self._slots[0].frame) is not None:
            slot = self._slots.popleft()
            self.in_flight -= slot.weight
            self._outbox.answer(frame)
            self._settle(slot)
        self._release()

    def _settle(self, slot: Slot) -> None:
        if slot.order_ids is None:
            self._vague -= 1
            return
        for each in slot.order_ids:
            left = self._pending[each] - 1
            if left:
                self._pending[each] = left
            else:
                del self._pending[each]

    def _release(self) -> None:
        while self._held and not self._waits(self._held[0][0]):
            self._outbox.execution(self._held.popleft()[1])
