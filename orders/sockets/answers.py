"""From the engine's thread to the loop of the sockets: all answers of one commit by one wake-up.

The engine answers a thousand commands one after the other; a wake-up of the loop for each would cost more than the answers.
"""

import logging
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from orders.bus.envelope import Outcome
from orders.sockets.tasks import Command
from orders.submission import Submission

# What a submission makes of its outcomes.
Finish = Callable[[list[Outcome]], Any]

log = logging.getLogger(__name__)


class Asker(Protocol):
    """Who is told in the loop: of each answer, then once that there are no more for now."""

    def answered(self, command: Command, finish: Finish, outcomes: list[Outcome]) -> None: ...

    def flush(self) -> None: ...


class Answers:
    """Of one loop."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[tuple[Asker, Command, Finish, Future[list[Outcome]]]] = deque()
        self._scheduled = False

    def expect(self, asker: Asker, command: Command, submission: Submission[Any]) -> None:
        """Have ``asker`` told when the submission is answered."""
        # Not the submission itself: it has the future, which keeps its callbacks. A circle of all that belongs to a command
        # would wait for the garbage collector, thousands a second.
        finish = submission.finish

        def note(future: Future[list[Outcome]]) -> None:
            self._done.append((asker, command, finish, future))
            if not self._scheduled:
                self._scheduled = True
                self._wake()

        submission.future.add_done_callback(note)

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._hand_out)
        except RuntimeError:
            log.info("the server's loop is closed; nobody waits for answers")

    def _hand_out(self) -> None:
        # First this, then the queue: what is appended meanwhile wakes the loop again.
        self._scheduled = False
        told: dict[Asker, None] = {}
        while self._done:
            asker, command, finish, future = self._done.popleft()
            asker.answered(command, finish, future.result())
            told[asker] = None
        for asker in told:
            asker.flush()


_by_loop: "WeakKeyDictionary[AbstractEventLoop, Answers]" = WeakKeyDictionary()


def answers(loop: AbstractEventLoop) -> Answers:
    """Those of a loop."""
    found = _by_loop.get(loop)
    if found is None:
        found = _by_loop[loop] = Answers(loop)
    return found
