"""``manage.py run_engine`` with points at which the process ends or freezes when a test asks for it.

A test writes ``POINT kill`` or ``POINT stop`` into the file that ``OMS_FAULT_FILE`` names, and the number of a shard behind
it if it means that one; the first engine (of that shard) that passes the point takes the file away and does it to itself.
Without the file nothing is any different. The product knows nothing of this.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

# In the order in which a group of commands passes them; the two around COMMIT are as near to it as Django lets us.
POINTS = ("dequeue", "match", "before_commit", "after_commit", "before_publish", "before_answer")
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

_file = Path(os.environ.get("OMS_FAULT_FILE", "/nonexistent"))
# Which threads carry out commands, and how far theirs have come.
_here = threading.local()


def passes(point: str) -> None:
    """The engine is at a point; perhaps it does not get any further."""
    try:
        wanted, what, *shard = _file.read_text().split()
    except (OSError, ValueError):
        return
    if wanted != point or (shard and shard != sys.argv[-1:]):
        return
    try:
        _file.rename(_file.with_suffix(f".{os.getpid()}"))
    except FileNotFoundError:
        return  # another engine was faster
    os.kill(os.getpid(), SIGNALS[what])


def install() -> None:
    """Wrap what an engine's loop calls on a group's way."""
    from django.db.backends.base.base import BaseDatabaseWrapper

    from orders.bus.stream import StreamBus
    from orders.engine.attempt import Attempt
    from orders.feed.publisher import Publisher

    take, match, commit, flush = StreamBus.take, Attempt.match, BaseDatabaseWrapper._commit, StreamBus.flush

    publish = Publisher.publish

    def taking(self: Any, *args: Any, **kwargs: Any) -> Any:
        taken = take(self, *args, **kwargs)
        _here.step = "taken"
        if taken:
            passes("dequeue")
        return taken

    def matching(self: Any, *args: Any, **kwargs: Any) -> None:
        match(self, *args, **kwargs)
        _here.step = "matched"
        passes("match")

    def committing(self: Any) -> Any:
        is_group = getattr(_here, "step", "") == "matched"
        if is_group:
            passes("before_commit")
        commit(self)
        if is_group:
            _here.step = "committed"
            passes("after_commit")

    def publishing(self: Any, *args: Any, **kwargs: Any) -> Any:
        passes("before_publish")
        return publish(self, *args, **kwargs)

    def flushing(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(_here, "step", "") == "committed":
            passes("before_answer")
        return flush(self, *args, **kwargs)

    StreamBus.take = taking
    Attempt.match = matching
    BaseDatabaseWrapper._commit = committing
    StreamBus.flush = flushing
    Publisher.publish = publishing


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import django
    from django.core.management import execute_from_command_line

    django.setup()
    install()
    execute_from_command_line(sys.argv)
