"""Order ids: 63-bit numbers, unique without asking anybody, ascending in time.

41 bits of milliseconds since 2025, 10 bits of node, 12 bits of counter: about four million a second and process until
2094. On SQLite such an id is the row's own id, so orders lie in the order they came.
"""

from collections.abc import Callable
from threading import Lock
from time import time_ns

_EPOCH_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
_NODE_BITS = 10
_COUNTER_BITS = 12
# Processes that may make ids at the same time.
NODES = 1 << _NODE_BITS


class OrderIds:
    """Makes ids. ``node`` (0 to 1023) must differ between processes that make ids at the same time.

    Where it is asked for every time, it may raise: then no id is made.
    """

    def __init__(self, node: int | Callable[[], int] = 0) -> None:
        if isinstance(node, int) and not 0 <= node < NODES:
            raise ValueError("node must be 0 to 1023")
        self._node: Callable[[], int] = node if callable(node) else lambda: node
        self._last_ms = 0
        self._counter = 0
        self._lock = Lock()

    def next(self) -> int:
        """A new id, greater than every one before, also when the clock steps back."""
        node = self._node()
        with self._lock:
            now = time_ns() // 1_000_000 - _EPOCH_MS
            if now > self._last_ms:
                self._last_ms = now
                self._counter = 0
            elif self._counter == (1 << _COUNTER_BITS) - 1:
                self._last_ms += 1
                self._counter = 0
            else:
                self._counter += 1
            return self._last_ms << (_NODE_BITS + _COUNTER_BITS) | node << _COUNTER_BITS | self._counter
