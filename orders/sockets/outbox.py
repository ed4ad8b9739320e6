"""What waits to be sent to one client, and what becomes of it where the client reads too slowly.

Theory of operation
-------------------
* While the transport takes what it is given, nothing waits here. What it does not take waits in two places.
* The line: answers, notices and executions, in order. It goes first and nothing of it is ever dropped. It is bounded all the
  same: past ``MAX_ANSWER_BYTES``, or ``MAX_EXECUTIONS`` of executions, the client is beyond help (``overflowed``).
* A lane for each key of the feed, emptied in turn. What waits in a lane can be replaced, so it is bounded by its policy:

  ====================  ========================================================================================
  book, candles         messages build upon each other. Past ``MAX_CHAIN`` the lane is dropped whole and takes
                        nothing more; when all else is sent it is ``lost``: the client needs a new snapshot
  trades                the last ``MAX_TAPE`` messages, and one that says which trades were skipped
  all others            every message is the whole state: only the newest waits
  ====================  ========================================================================================

* Past ``MAX_UNSENT_BYTES`` of all that waits but executions the lanes are shed: chains are lost, tapes skipped.
"""

from collections import deque
from collections.abc import Callable

from orders.feed.board import Key
from orders.feed.frames import BOOK, CANDLES, TRADES, Frame

# Bytes that may wait, executions left out, before the lanes are shed.
MAX_UNSENT_BYTES = 512 * 1024
# Bytes of answers that wait before no more commands are read, so that there will be no more of them.
LONG_LINE_BYTES = 128 * 1024
# Bytes of answers that may wait. What is under way when the line becomes long is answered all the same, and one group of the
# engine answers it at once: a thousand orders with their legs and fills.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
# Executions that may wait, beyond those a resume has brought at once. After that the client resumes by sequence.
MAX_EXECUTIONS = 10_000
# Messages of a book that may wait: some seconds of a lively market. After that a snapshot is less to send.
MAX_CHAIN = 100
# Messages of trades that may wait, for an instrument.
MAX_TAPE = 1_000

# Makes the message that trades were skipped: key, how many, the number of the trade before them, that of the last.
Skipped = Callable[[Key, int, int, int], Frame]


class Newest:
    """The newest message."""

    __slots__ = ("frame",)

    def __init__(self) -> None:
        self.frame: Frame | None = None

    def __bool__(self) -> bool:
        return self.frame is not None

    @property
    def size(self) -> int:
        return 0 if self.frame is None else len(self.frame.data)

    def push(self, frame: Frame) -> None:
        self.frame = frame

    def pop(self) -> Frame:
        frame, self.frame = self.frame, None
        assert frame is not None
        return frame

    def shed(self) -> None:
        """The newest state is the least that can wait."""


class Chain:
    """Messages that build upon each other: all or none."""

    __slots__ = ("frames", "size")

    def __init__(self) -> None:
        self.frames: deque[Frame] = deque()
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self.frames)

    def push(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.size += len(frame.data)
        if len(self.frames) > MAX_CHAIN:
            self.shed()

    def pop(self) -> Frame:
        frame = self.frames.popleft()
        self.size -= len(frame.data)
        return frame

    def shed(self) -> None:
        self.frames.clear()
        self.size = 0


class Tape:
    """The latest trades, and which ones before them were skipped.

    What is not an update (a snapshot, a resync) begins anew: nothing before it needs to be sent, and it is never skipped.
    """

    __slots__ = ("_key", "_skipped", "_tell_skipped", "frames", "head", "size")

    def __init__(self, key: Key, tell_skipped: Skipped) -> None:
        self._key = key
        self._tell_skipped = tell_skipped
        self._skipped: tuple[int, int, int] | None = None
        self.head: Frame | None = None
        self.frames: deque[Frame] = deque()
        self.size = 0

    def __bool__(self) -> bool:
        return self.head is not None or self._skipped is not None or bool(self.frames)

    def push(self, frame: Frame) -> None:
        if frame.span is None:
            self.head, self._skipped = frame, None
            self.frames.clear()
            self.size = len(frame.data)
            return
        if len(self.frames) >= MAX_TAPE:
            self._skip()
        self.frames.append(frame)
        self.size += len(frame.data)

    def pop(self) -> Frame:
        if self.head is not None:
            frame, self.head = self.head, None
        elif self._skipped is not None:
            previous, sequence, count = self._skipped
            self._skipped = None
            return self._tell_skipped(self._key, count, previous, sequence)
        else:
            frame = self.frames.popleft()
        self.size -= len(frame.data)
        return frame

    def shed(self) -> None:
        while self.frames:
            self._skip()

    def _skip(self) -> None:
        frame = self.frames.popleft()
        self.size -= len(frame.data)
        assert frame.span is not None
        previous, sequence, count = frame.span
        if self._skipped is not None:
            previous, count = self._skipped[0], self._skipped[2] + count
        self._skipped = (previous, sequence, count)


Lane = Newest | Chain | Tape


class Outbox:
    """Of one connection. False while nothing waits."""

    def __init__(self, tell_skipped: Skipped) -> None:
        self.overflowed = False
        self._tell_skipped = tell_skipped
        # Each with whether it is an execution.
        self._line: deque[tuple[Frame, bool]] = deque()
        self._executions = 0
        # Of those that wait, how many a resume brought; and whether it is bringing more.
        self._resumed = 0
        self._resuming = False
        self._lanes: dict[Key, Lane] = {}
        # Lanes in which something waits, each once.
        self._turns: deque[Lane] = deque()
        self._lost: dict[Key, None] = {}
        self._answer_bytes = 0
        self._lane_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._line or self._turns)

    @property
    def line_is_long(self) -> bool:
        """Whether answers wait that the client does not fetch: no time to take more commands of it."""
        return self._answer_bytes > LONG_LINE_BYTES

    @property
    def size(self) -> int:
        """Bytes that wait, executions left out."""
        return self._answer_bytes + self._lane_bytes

    # In

    def answer(self, frame: Frame) -> None:
        """What must not be dropped: an answer or a notice."""
        self._line.append((frame, False))
        self._answer_bytes += len(frame.data)
        if self.size > MAX_UNSENT_BYTES:
            self._shed()
            self.overflowed |= self._answer_bytes > MAX_ANSWER_BYTES

    def execution(self, frame: Frame) -> None:
        self._line.append((frame, True))
        self._executions += 1
        self.overflowed |= self._executions - self._resumed > MAX_EXECUTIONS and not self._resuming

    def resuming(self) -> None:
        """What comes now was missed before: it is bounded by whoever read it, and does not count until ``resumed``."""
        self._resuming = True

    def resumed(self) -> None:
        self._resuming = False
        self._resumed = self._executions

    def market(self, key: Key, frame: Frame) -> None:
        if key in self._lost:
            return
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = self._lane_for(key)
        waited, before = bool(lane), lane.size
        lane.push(frame)
        self._lane_bytes += lane.size - before
        if lane and not waited:
            self._turns.append(lane)
        elif waited and not lane:
            self._turns.remove(lane)
            self._lost[key] = None
        if self.size > MAX_UNSENT_BYTES:
            self._shed()

    def _lane_for(self, key: Key) -> Lane:
        if key[0] in (BOOK, CANDLES):
            return Chain()
        return Tape(key, self._tell_skipped) if key[0] == TRADES else Newest()

    def _shed(self) -> None:
        """Too much waits: make room at the cost of the lanes, of trades only where the others were not enough."""
        for kind in (Chain, Tape):
            if self.size <= MAX_UNSENT_BYTES:
                return
            for key, lane in self._lanes.items():
                if isinstance(lane, kind) and lane:
                    before = lane.size
                    lane.shed()
                    self._lane_bytes += lane.size - before
                    if not lane:
                        self._turns.remove(lane)
                        self._lost[key] = None

    # Out

    def take(self) -> Frame | None:
        """The next message to send; None where nothing waits."""
        if self._line:
            frame, is_execution = self._line.popleft()
            if is_execution:
                self._executions -= 1
                if self._resumed:
                    self._resumed -= 1
            else:
                self._answer_bytes -= len(frame.data)
            return frame
        if not self._turns:
            return None
        lane = self._turns.popleft()
        before = lane.size
        frame = lane.pop()
        self._lane_bytes += lane.size - before
        if lane:
            self._turns.append(lane)
        return frame

    def take_lost(self) -> list[Key]:
        """Once nothing waits: the keys that need a new snapshot. They take messages again."""
        if self or not self._lost:
            return []
        lost = list(self._lost)
        self._lost.clear()
        return lost

    # Away

    def forget(self, wanted: Callable[[Key], bool]) -> None:
        """The client listens to these keys no more: nothing of them is sent after this."""
        for key in [key for key in self._lanes if wanted(key)]:
            lane = self._lanes.pop(key)
            self._lane_bytes -= lane.size
            if lane:
                self._turns.remove(lane)
            self._lost.pop(key, None)

    def clear(self) -> None:
        """Send nothing of all this."""
        self._line.clear()
        self._turns.clear()
        self._lanes.clear()
        self._lost.clear()
        self._executions = self._resumed = self._answer_bytes = self._lane_bytes = 0
