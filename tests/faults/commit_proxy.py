"""A TCP proxy before PostgreSQL that knows where COMMIT is, and cuts there.

It reads what the client sends by the frontend protocol (startup without a type, then type, length, body) and passes on what the
server sends as it comes. ``arm(how)`` lets the next COMMIT meet one of three ends; ``cut_all()`` ends every connection now.

BEFORE: the server never hears of it. AFTER: the server has committed, the client is not told. LATE: the client is cut off,
looks, and sees nothing; then the server hears of the COMMIT.
"""

import socket
import struct
import threading
import time
from contextlib import suppress

BEFORE, AFTER, LATE = "before", "after", "late"
# How much later. Longer than an engine needs to connect again and to look.
LATE_SECONDS = 0.6
CHUNK_BYTES = 64 * 1024
_PROTOCOL_3 = 196_608


class CommitProxy:
    """``with CommitProxy(to_port) as proxy: proxy.port``."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        # How each COMMIT that was cut was cut.
        self.cuts: list[str] = []
        self._armed = ""
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()

    def __enter__(self) -> "CommitProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()
        self.cut_all()

    def arm(self, how: str) -> None:
        """Cut the next COMMIT so; "" disarms."""
        with self._lock:
            self._armed = how

    def take(self) -> str:
        """How this COMMIT is to be cut: "" for not at all. Nobody else gets the same answer."""
        with self._lock:
            how, self._armed = self._armed, ""
            if how:
                self.cuts.append(how)
            return how

    def cut_all(self) -> None:
        """End every connection, both ways, at once."""
        for connection in list(self._connections):
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._to_port), timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                connection = Connection(self, client, server)
                self._connections.add(connection)
                threading.Thread(target=self._carry, args=(connection,), daemon=True).start()

    def _carry(self, connection: "Connection") -> None:
        try:
            connection.carry()
        finally:
            self._connections.discard(connection)


class Connection:
    """One client's connection and its counterpart to the server."""

    def __init__(self, proxy: CommitProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._buffer = b""
        self._has_begun = False
        # The answer to a COMMIT is awaited, and not to be passed on.
        self._is_deaf = threading.Event()

    def carry(self) -> None:
        """Until either side ends it."""
        threading.Thread(target=self._answers, daemon=True).start()
        try:
            with suppress(OSError):
                while data := self._client.recv(CHUNK_BYTES):
                    self._buffer += data
                    if not self._pass_on():
                        return
        finally:
            self.close()

    def close(self) -> None:
        for end in (self._client, self._server):
            _end(end)

    def _answers(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(CHUNK_BYTES):
                if self._is_deaf.is_set():
                    break
                self._client.sendall(data)
        self.close()

    def _pass_on(self) -> bool:
        """Send on the complete messages that have come. Returns False where one of them was the end."""
        ready = 0
        while (end := self._message_end(ready)) is not None:
            message = self._buffer[ready:end]
            how = self._proxy.take() if is_commit(message) else ""
            if how:
                self._server.sendall(self._buffer[:ready])
                self._cut(how, message)
                return False
            ready = end
        if ready:
            self._server.sendall(self._buffer[:ready])
            self._buffer = self._buffer[ready:]
        return True

    def _message_end(self, start: int) -> int | None:
        """Where the message at ``start`` ends; None while it is not complete."""
        head = 0 if not self._has_begun else 1
        if len(self._buffer) < start + head + 4:
            return None
        (length,) = struct.unpack_from(">I", self._buffer, start + head)
        end = start + head + length
        if len(self._buffer) < end:
            return None
        if not self._has_begun:
            # Requests for encryption come first, in the same form.
            self._has_begun = struct.unpack_from(">I", self._buffer, start + 4)[0] == _PROTOCOL_3
        return end

    def _cut(self, how: str, message: bytes) -> None:
        if how == AFTER:
            self._is_deaf.set()
            self._server.sendall(message)
            # The answering thread ends both once the server has spoken.
            with suppress(OSError):
                self._client.recv(1)
        elif how == LATE:
            _end(self._client)
            time.sleep(LATE_SECONDS)
            self._is_deaf.set()
            self._server.sendall(message)
            time.sleep(0.2)


def is_commit(message: bytes) -> bool:
    """Whether a frontend message asks for COMMIT: as a simple query, or as a statement to be parsed."""
    if message[:1] == b"Q":
        text = message[5:]
    elif message[:1] == b"P":
        text = message[5:].partition(b"\0")[2]
    else:
        return False
    return text[:6].upper() == b"COMMIT"


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
