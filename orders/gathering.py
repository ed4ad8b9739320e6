"""One answer out of the answers of several shards."""

from concurrent.futures import Future
from threading import Lock

from orders.bus.envelope import UNKNOWN, Outcome


class Gathered(Future[list[Outcome]]):
    """Done when every part is, or once nobody waits any longer: what has no answer by then is ``UNKNOWN``.

    A part is the places of its outcomes among the whole, and its future, which must never fail.
    """

    def __init__(self, size: int, parts: list[tuple[list[int], Future[list[Outcome]]]]) -> None:
        super().__init__()
        self._outcomes = [Outcome(UNKNOWN) for _ in range(size)]
        self._missing = len(parts)
        # Parts are answered in several threads, and given up in another.
        self._lock = Lock()
        for places, future in parts:
            self._expect(places, future)

    def _expect(self, places: list[int], future: Future[list[Outcome]]) -> None:
        def take(answered: Future[list[Outcome]]) -> None:
            with self._lock:
                if self._missing == 0:
                    return  # given up
                for place, outcome in zip(places, answered.result(), strict=True):
                    self._outcomes[place] = outcome
                self._missing -= 1
                if self._missing:
                    return
            self.set_result(self._outcomes)

        future.add_done_callback(take)

    def give_up(self) -> None:
        """Be done with what is known so far."""
        with self._lock:
            if self._missing == 0:
                return
            self._missing = 0
        self.set_result(self._outcomes)
