"""A WebSocket client that may break every rule: frames by hand over a plain socket."""

import base64
import json
import os
import socket
import struct
from typing import Any

from tests.support import messages

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Wire:
    """A connection that is open; ``receive_bytes`` makes the kernel's buffer for what comes small."""

    def __init__(self, port: int, *, receive_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws/v1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._data += self.socket.recv(4096)
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert b" 101 " in head.split(b"\r\n")[0], head

    def frame(self, payload: bytes, opcode: int = TEXT, *, final: bool = True, masked: bool = True) -> None:
        self.socket.sendall(frame(payload, opcode, final=final, masked=masked))

    def say(self, **message: Any) -> None:
        self.frame(json.dumps(message).encode())

    def read(self) -> tuple[int, bytes]:
        """The next frame. Raises ``ConnectionError`` where the connection ends."""
        head = self._take(2)
        length = head[1] & 127
        if length == 126:
            length = struct.unpack("!H", self._take(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self._take(8))[0]
        return head[0] & 15, self._take(length)

    def hear(self) -> dict[str, Any]:
        """The next message that is not a heartbeat. All are as the models say."""
        while True:
            opcode, payload = self.read()
            if opcode == TEXT and b'"op":"heartbeat"' not in payload:
                return messages.told(payload)
            assert opcode not in (CLOSE, BINARY), (opcode, payload)

    def close_code(self) -> int:
        """How it ends, past what is said before: the code, 1006 without one."""
        try:
            while True:
                opcode, payload = self.read()
                if opcode == CLOSE:
                    return struct.unpack("!H", payload[:2])[0] if payload else 1005
        except ConnectionError:
            return 1006

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionError("closed")
            self._data += data
        taken, self._data = self._data[:count], self._data[count:]
        return taken


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, masked: bool = True) -> bytes:
    """A client's frame; servers must refuse one that is not masked."""
    first, bit = (0x80 if final else 0) | opcode, 0x80 if masked else 0
    if len(payload) < 126:
        head = bytes((first, bit | len(payload)))
    elif len(payload) < 65_536:
        head = bytes((first, bit | 126)) + struct.pack("!H", len(payload))
    else:
        head = bytes((first, bit | 127)) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    spread = (mask * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(spread, "big")
    return head + mask + mixed.to_bytes(len(payload), "big")
