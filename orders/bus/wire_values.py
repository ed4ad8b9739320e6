"""Numbers, texts and lists as msgpack: exact at any size, and nothing else."""

from typing import Any

import msgpack

# An integer beyond 64 bits: its bytes, signed, most significant first.
_BIG_INTEGER = 1


class WireError(ValueError):
    """What came is not what this version writes."""


def _extend(value: object) -> msgpack.ExtType:
    """What msgpack has no way to write: of ours only big integers."""
    if type(value) is int:
        return msgpack.ExtType(_BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    raise TypeError(f"{type(value).__name__} does not travel")


def _extended(code: int, data: bytes) -> int:
    if code != _BIG_INTEGER:
        raise WireError(f"unknown extension {code}")
    return int.from_bytes(data, "big", signed=True)


def pack(value: object) -> bytes:
    return msgpack.packb(value, default=_extend)


def unpack(data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, ext_hook=_extended)
    except WireError:
        raise
    except Exception as error:  # msgpack raises half a dozen kinds
        raise WireError(f"not msgpack: {error!r:.200}") from error


def list_of(value: Any) -> list[Any]:
    if type(value) is not list:
        raise WireError(f"not a list: {value!r:.40}")
    return value
